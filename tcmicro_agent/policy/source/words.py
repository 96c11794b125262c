"""The smallest pieces of a policy: names, label values, protocols with ports, networks."""

from __future__ import annotations

import re
from ipaddress import ip_address, ip_network

from tcmicro_agent.jsonutil import probably_meant, show
from tcmicro_agent.policy.codes import Code
from tcmicro_agent.policy.intent import Word
from tcmicro_agent.policy.model import Network, Protocol, Service
from tcmicro_agent.policy.problems import Fault
from tcmicro_agent.policy.source.fields import text_of
from tcmicro_agent.policy.source.nodes import Node
from tcmicro_agent.policy.windows import instant

NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
CIDR = re.compile(r"([0-9A-Fa-f.:]+)/([0-9]{1,3})")
SERVICE = re.compile(r"(tcp|udp|sctp)/([0-9]{1,9})(?:-([0-9]{1,9}))?")
ICMP = re.compile(r"(icmp6?)/([a-z][a-z-]*|[0-9]{1,9})")
PROTOCOLS = ("tcp", "udp", "sctp", "icmp", "icmp6", "any")
SET = "set:"
ICMP_NAMES = {"echo-request": (8, 128)}  # their types in ICMP and ICMPv6
ICMP_ANSWERS = (0, 3, 4, 5, 11, 12, 129)  # to a ping; and errors, which answer anything
ICMP_TYPES = {"icmp": range(128), "icmp6": range(128, 256)}
MAPPED = ip_network("::ffff:0:0/96")


def name_of(node: Node) -> Word:
    """A name of our own: policy or rule id."""
    text = text_of(node)
    if not NAME.fullmatch(text):
        allowed = "lower-case letters, digits and inner dashes, at most 63"
        raise Fault(node.where, Code.NAME, f"{show(text)} is not a name ({allowed})")
    return Word(text, node.where)


def word_of(node: Node) -> Word:
    """A name that the inventory gave."""
    return Word(text_of(node), node.where)


def label_of(node: Node) -> Word:
    """The value of a label; a number means its digits."""
    if isinstance(node.value, int) and not isinstance(node.value, bool):
        return Word(str(node.value), node.where)
    return word_of(node)


def set_of(node: Node) -> Word | None:
    """The name in `set:NAME`; None where it is no such reference."""
    if not isinstance(node.value, str) or not node.value.startswith(SET):
        return None
    return name_of(Node(node.where, node.value[len(SET) :], node.key_where))


def services_of(node: Node) -> tuple[Service, ...]:
    """`tcp/5432`, `udp/8000-8080`, `sctp/3868`, `icmp`, `icmp/echo-request`, `icmp/8`, `icmp6/128` or `any`."""
    text = str(node.value) if type(node.value) is int else text_of(node)
    if text in ("any", "icmp"):
        return (Service(Protocol(text)),)
    messages = ICMP.fullmatch(text)
    if messages:
        return tuple(map(_icmp, _icmp_types(node, text, *messages.groups())))
    return (_ports(node, text),)


def _ports(node: Node, text: str) -> Service:
    found = SERVICE.fullmatch(text)
    if not found:
        raise Fault(node.where, Code.PORT, f"{show(text)} is not a port; {_advice(text)}")
    first, last = int(found[2]), int(found[3] or found[2])
    for port in (first, last):
        if not 1 <= port <= 65535:
            raise Fault(node.where, Code.PORT, f"{show(text)}: {port} is not a port (1-65535)")
    if first > last:
        text = f"{show(text)} runs backwards; write {found[1]}/{last}-{first}"
        raise Fault(node.where, Code.PORT, text)
    return Service(Protocol(found[1]), first, last)


def _icmp_types(node: Node, text: str, family: str, named: str) -> tuple[int, ...]:
    """A name means ICMP and ICMPv6 alike; a number is a type of one of them."""
    if family == "icmp" and named in ICMP_NAMES:
        return ICMP_NAMES[named]
    if named in ICMP_NAMES:
        advice = f"write icmp/{named}, which means ICMPv6 too"
        raise Fault(node.where, Code.PORT, f"{show(text)} is not a port; {advice}")
    if not named.isdigit():
        advice = f"write a number or {', '.join(ICMP_NAMES)}"
        guess = probably_meant(named, ICMP_NAMES)
        raise Fault(node.where, Code.PORT, f"{show(text)} is not a port; {advice}{guess}")
    number, types = int(named), ICMP_TYPES[family]
    if number not in types:
        advice = f"{family} has types {types[0]}-{types[-1]} that a rule can name"
        raise Fault(node.where, Code.PORT, f"{show(text)}: {advice}")
    if number in ICMP_ANSWERS:
        advice = "an answer or an error message needs no rule: it passes with its flow"
        raise Fault(node.where, Code.PORT, f"{show(text)}: {advice}")
    return (number,)


def _icmp(number: int) -> Service:
    return Service(Protocol.ICMP, number << 8, number << 8 | 0xFF)


def time_of(node: Node) -> int | None:
    """A time in UTC, in seconds since 1970."""
    text = text_of(node)
    try:
        return instant(text)
    except ValueError:
        advice = 'write it like "2026-12-01T08:00:00Z"'
        raise Fault(node.where, Code.TIME, f"{show(text)} is not a time in UTC; {advice}") from None


def address_of(node: Node) -> Word:
    """An address as `ip_address` writes it."""
    text = text_of(node)
    try:
        address = ip_address(text)
    except ValueError:
        address = None
    if address is None or "%" in text:
        raise Fault(
            node.where, Code.CIDR, f"{show(text)} is not an address; write it like 10.0.0.1"
        )
    return Word(str(address), node.where)


def network_of(node: Node) -> Network:
    """A network in CIDR notation, without host bits."""
    text = text_of(node)
    network = _network(node, text)
    if network.version == 6 and network.subnet_of(MAPPED):  # type: ignore[arg-type]  # version 6
        raise Fault(node.where, Code.CIDR, f"{show(text)} wraps IPv4; write the IPv4 network")
    return network


def _network(node: Node, text: str) -> Network:
    try:
        loose = ip_network(text, strict=False)
    except ValueError:
        loose = None
    if loose is None or not CIDR.fullmatch(text):
        advice = "write it like 10.0.0.0/8 or fd00::/8"
        if text.startswith(SET):
            advice = "a peer names sets in addressSets"
        if loose is not None and "%" not in text:
            advice = f"write {loose}"
        raise Fault(node.where, Code.CIDR, f"{show(text)} is not a network; {advice}")
    if ip_address(text.partition("/")[0]) != loose.network_address:
        advice = f"{show(text)} has host bits set; write {loose}"
        raise Fault(node.where, Code.HOST_BITS, advice)
    return loose


def _advice(text: str) -> str:
    if text.startswith(SET):
        return "a set names no other set"
    if text.isascii() and text.isdigit():
        return f"name the protocol: tcp/{text}"
    if text in ("tcp", "udp"):
        return f"name the ports: {text}/1-65535"
    guess = probably_meant(text.partition("/")[0], PROTOCOLS) if "/" in text else ""
    return f"write it like tcp/5432, udp/8000-8080, icmp or any{guess}"
