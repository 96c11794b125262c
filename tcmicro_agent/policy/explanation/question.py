"""Questions as people type them: `web1 db1:5432/tcp`, `group:web [fd00::7]:53/udp`, `192.0.2.1 web1/icmp`."""

from __future__ import annotations

import re
from ipaddress import ip_address

from tcmicro_agent.policy.explanation.answers import Question
from tcmicro_agent.policy.intent import End, EndKind, Word
from tcmicro_agent.policy.model import Protocol, Service
from tcmicro_agent.policy.problems import Where

GROUP = "group:"
TARGET = re.compile(r"(?P<end>.+?)(?:/(?P<ping>icmp)|:(?P<service>[^:\[\]]+))")
SERVICE = re.compile(r"(?P<port>[0-9]{1,5})/(?P<protocol>tcp|udp|sctp)|icmp", re.ASCII)
ALLOWED = "a host, group:NAME or an address"


def parse_question(source: str, target: str) -> Question:
    """Raises ValueError with what is allowed."""
    found = TARGET.fullmatch(target)
    if not found:
        raise ValueError(f"{target!r} has no port; write it like db1:5432/tcp or db1/icmp")
    service = parse_service(found["ping"] or found["service"])
    return Question(parse_end(source, "SRC"), parse_end(found["end"], "DST"), service)


def parse_service(text: str) -> Service:
    found = SERVICE.fullmatch(text)
    if not found:
        raise ValueError(f"{text!r} is not a port; write it like 5432/tcp, 53/udp or icmp")
    if text == "icmp":
        return Service(Protocol.ICMP)
    port = int(found["port"])
    if not 1 <= port <= 65535:
        raise ValueError(f"{port} is not a port (1-65535)")
    return Service(Protocol(found["protocol"]), port, port)


def parse_end(text: str, place: str) -> End:
    """`place` is what errors name."""
    where = Where(place, 0, 0)
    bare = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    try:
        return End(EndKind.ADDRESS, Word(str(ip_address(bare)), where))
    except ValueError:
        pass
    name = text[len(GROUP) :] if text.startswith(GROUP) else text
    if not name or "/" in name or "[" in name:
        raise ValueError(f"{text!r} is not {ALLOWED}")
    return End(EndKind.GROUP if name != text else EndKind.HOST, Word(name, where))
