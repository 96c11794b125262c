"""A question about one new flow of this host: as people write it, as the flow's first packet, as the model answers it.

self 10.0.2.1:5432/tcp        10.0.1.7 self:22/tcp        self [fd00::1]:53/udp        10.0.1.7 self/icmp
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from ipaddress import ip_address

from tcmicro_agent.config import Failsafe
from tcmicro_agent.errors import QuestionError
from tcmicro_agent.jsonutil import show
from tcmicro_agent.policy.evaluate import NUMBERS, PING, Address, NewFlow, evaluate
from tcmicro_agent.policy.model import WORLD, Action, Bundle, Direction, Identity, Network, Protocol

SELF = "self"
TARGET = re.compile(
    r"(?:(?P<bare>[^/:\[\]]*(?::[^/:\[\]]*){2,})"  # IPv6, where no port stands behind it
    r"|(?:\[(?P<six>[^\]]*)\]|(?P<host>[^/:\[\]]*))(?::(?P<port>\d+))?)/(?P<protocol>\w+)"
)
WITH_PORTS = tuple(NUMBERS[p] for p in (Protocol.TCP, Protocol.UDP, Protocol.SCTP))
NAMED = {protocol.value: number for protocol, number in NUMBERS.items()}
DHCP = {67: 68, 68: 67, 546: 547, 547: 546}  # who asks from where, by the port that is asked
CLIENT_PORT = 40000
SYN, ECHO_REQUEST, ECHO_REQUEST6, ICMP6 = 2, 8, 128, 58
ETHERTYPES = {4: 0x0800, 6: 0x86DD}
EXTENSIONS = (
    0,
    43,
    44,
    51,
    60,
)  # IPv6 extension headers: on the way to a protocol, none themselves
NOBODY = {4: ip_address("0.0.0.0"), 6: ip_address("::")}


@dataclass(frozen=True)
class Question:
    """A flow that the peer (ingress) or this host (egress) opens. Who we are to it changes no verdict."""

    direction: Direction
    peer: Address
    protocol: int  # IP number; ICMPv6 counts as ICMP
    port: int  # of who is called; 0 where there are none

    @property
    def client_port(self) -> int:
        dhcp = DHCP.get(self.port) if self.protocol == NUMBERS[Protocol.UDP] else None
        return dhcp or CLIENT_PORT


@dataclass(frozen=True)
class Opinion:
    """What the model says; `reason` as in `enum tcm_reason`, `rule` a uid, "" where no rule or default decides."""

    action: Action
    reason: str
    rule: str
    identity: Identity
    audited: bool = False


def read(source: str, target: str, is_ours: Callable[[Address], bool]) -> Question:
    """`target` is ADDRESS:PORT/PROTOCOL; one side is `self` or an address of this host. Raises QuestionError."""
    found = TARGET.fullmatch(target)
    if not found:
        text = f"{show(target)} is not ADDRESS:PORT/PROTOCOL"
        raise QuestionError([f"{text}, such as 10.0.2.1:5432/tcp, [fd00::1]:53/udp or self/icmp"])
    protocol = _protocol(found["protocol"])
    port = _port(found["port"], found["protocol"], protocol)
    ends = _end(source), _end(found["bare"] or found["six"] or found["host"] or "")
    ours = [end is None or is_ours(end) for end in ends]
    if ours[0] == ours[1]:
        what = (
            "both sides are this host, and loopback is never judged"
            if ours[0]
            else ("neither side is this host")
        )
        raise QuestionError([f"{source} {target}: {what}; one of them must be {SELF}"])
    direction = Direction.EGRESS if ours[0] else Direction.INGRESS
    peer = ends[1] if ours[0] else ends[0]
    if peer is None:
        raise QuestionError([f"{source} {target}: the other side must be an address"])
    return Question(direction, peer, protocol, port)


def _end(text: str) -> Address | None:
    """None: this host."""
    if text == SELF:
        return None
    try:
        found = ip_address(text)
    except ValueError:
        raise QuestionError([f"{show(text)} is neither {SELF} nor an IP address"]) from None
    if found.version == 6 and found.scope_id:
        raise QuestionError([f"{show(text)} has a zone, which peers do not see"])
    return found


def _protocol(text: str) -> int:
    if text in NAMED:
        return NAMED[text]
    number = int(text) if text.isdigit() else 256
    if number > 255 or number in EXTENSIONS:
        raise QuestionError(
            [f"{show(text)} is not a protocol: {', '.join(NAMED)}, or a number to 255"]
        )
    return NAMED["icmp"] if number == ICMP6 else number


def _port(text: str | None, name: str, protocol: int) -> int:
    if protocol not in WITH_PORTS:
        if text is not None:
            raise QuestionError([f"{name} has no ports: write ADDRESS/{name}"])
        return 0
    port = int(text) if text is not None else -1
    if not 0 <= port <= 65535:
        raise QuestionError(
            [f"{name} needs a port (0-65535): 10.0.2.1:PORT/{name}, [fd00::1]:PORT/{name}"]
        )
    return port


def packet(question: Question) -> bytes:
    """The first packet of the flow, a whole frame. Nobody on its way looks at checksums."""
    us = NOBODY[question.peer.version]
    ends = (question.peer, us) if question.direction is Direction.INGRESS else (us, question.peer)
    source, dest = (end.packed for end in ends)
    body = _body(question)
    if question.peer.version == 4:
        head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(body), 1, 0, 64, question.protocol, 0)
    else:
        icmp = question.protocol == NUMBERS[Protocol.ICMP]
        following = ICMP6 if icmp else question.protocol
        head = struct.pack("!IHBB", 6 << 28, len(body), following, 64)
    ethertype = ETHERTYPES[question.peer.version].to_bytes(2, "big")
    return bytes(12) + ethertype + head + source + dest + body


def _body(question: Question) -> bytes:
    ports = question.client_port, question.port
    if question.protocol == NUMBERS[Protocol.TCP]:
        return struct.pack("!HHIIBBHHH", *ports, 1, 0, 0x50, SYN, 8192, 0, 0)
    if question.protocol == NUMBERS[Protocol.UDP]:
        return struct.pack("!HHHH", *ports, 8, 0)
    if question.protocol == NUMBERS[Protocol.SCTP]:
        return struct.pack("!HHII", *ports, 0, 0) + struct.pack("!BBH", 1, 0, 4)  # an empty INIT
    if question.protocol == NUMBERS[Protocol.ICMP]:
        kind = ECHO_REQUEST if question.peer.version == 4 else ECHO_REQUEST6
        return struct.pack("!BBHHH", kind, 0, 0, 1, 1)
    return bytes(16)


def model(question: Question, bundle: Bundle | None, failsafe: Iterable[Failsafe]) -> Opinion:
    """What the program ought to say under that bundle, or under none."""
    if bundle is None:
        return Opinion(Action.ALLOW, "unenforced", "", WORLD)
    icmp = question.protocol == NUMBERS[Protocol.ICMP]
    port = PING[question.peer.version] if icmp else question.port
    flow = NewFlow(question.direction, question.peer, question.protocol, port)
    verdict = evaluate(bundle, flow)
    rule = verdict.rule or f"default/{question.direction.value}"
    who = verdict.identity
    found = Opinion(verdict.action, verdict.reason.value, rule, who, verdict.audited)
    spared = "failsafe" if any(keeps_open(f, question) for f in failsafe) else ""
    spared = spared or ("dhcp" if _is_dhcp(question) else "")
    if verdict.action is Action.ALLOW or not spared:
        return found
    return Opinion(Action.ALLOW, spared, rule, verdict.identity)


def keeps_open(entry: Failsafe, question: Question) -> bool:
    """Both legs of what the failsafe names: our port for ingress, the peer's for egress."""
    calls_us = question.direction is Direction.INGRESS
    ours, theirs = (
        (question.port, question.client_port) if calls_us else (question.client_port, question.port)
    )
    port = ours if entry.direction is Direction.INGRESS else theirs
    wanted = 0 if entry.protocol is Protocol.ICMP else port
    return (
        NUMBERS[entry.protocol] == question.protocol
        and entry.port == wanted
        and _as_kept(question.peer, entry.network) in entry.network
    )


def _as_kept(peer: Address, network: Network) -> Address:
    """An IPv4 peer is looked up as ::ffff:a.b.c.d, so an IPv6 network as wide as ::/0 holds it too."""
    return ip_address(f"::ffff:{peer}") if peer.version < network.version else peer


def _is_dhcp(question: Question) -> bool:
    """This host as a client (RFC 2131, RFC 8415), asking or answered."""
    if question.protocol != NUMBERS[Protocol.UDP]:
        return False
    client, server = (68, 67) if question.peer.version == 4 else (546, 547)
    return question.port == (server if question.direction is Direction.EGRESS else client)
