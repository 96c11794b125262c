"""What the matches of an nftables rule say about new flows, from their JSON (libnftables-json(5))."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address, ip_network, summarize_address_range
from typing import Any

from tcmicro_agent.importers.match import (
    MAX_PORT,
    Match,
    Range,
    UnclearError,
    icmp_kinds,
    interface,
    ports,
    protocols,
    states,
)
from tcmicro_agent.policy.model import Direction, Network

PEER_FIELD = {Direction.INGRESS: "saddr", Direction.EGRESS: "daddr"}
FAMILY_OF = {"ip": 4, "ip6": 6, "ipv4": 4, "ipv6": 6}
EQUAL = ("==", "in")
ICMP_KINDS = {
    "nd-router-solicit": 133,
    "nd-router-advert": 134,
    "nd-neighbor-solicit": 135,
    "nd-neighbor-advert": 136,
    "mld-listener-query": 130,
    "mld-listener-report": 131,
    "mld-listener-done": 132,
    "mld-listener-reduction": 132,
    "mld2-listener-report": 143,
}
ICMP_ERRORS = {
    "destination-unreachable",
    "packet-too-big",
    "time-exceeded",
    "parameter-problem",
    "source-quench",
}


@dataclass(frozen=True)
class MatchReader:
    """`families` and `sets` are those of the table the rule stands in."""

    direction: Direction
    families: frozenset[int]
    sets: Mapping[str, Mapping[str, Any]]

    def match(self, content: Mapping[str, Any]) -> Match:
        """Raises UnclearError where a policy cannot say the same."""
        return self.compare(content["left"], content["op"], content["right"])

    def compare(self, left: Any, op: str, right: Any) -> Match:
        [(kind, what)] = left.items() if isinstance(left, dict) else [("", {})]
        if kind == "payload" and "protocol" in what:
            return self._payload(what["protocol"], what["field"], op, right)
        if kind == "meta":
            return self._meta(what["key"], op, right)
        if kind == "ct" and what.get("key") == "state":
            return states([str(v) for v in self._values(right)], negated=op not in EQUAL)
        raise UnclearError(f"match of {_named(kind, what)}")

    def _payload(self, protocol: str, field: str, op: str, right: Any) -> Match:
        if field in ("saddr", "daddr"):
            return self._address(protocol, field, op, right)
        if field == "dport" and protocol in ("tcp", "udp", "sctp", "th"):
            found = ports(self._ranges(op, right))
            return found if protocol == "th" else found.also(protocols([protocol], self.families))
        if (protocol, field) in (("ip", "protocol"), ("ip6", "nexthdr")) and op in EQUAL:
            family = frozenset({FAMILY_OF[protocol]})
            names = [str(v) for v in self._values(right)]
            return Match(families=family).also(protocols(names, family))
        if field == "type" and protocol in ("icmp", "icmpv6") and op in EQUAL:
            kinds = [str(v) for v in self._values(right)]
            return icmp_kinds(
                neighbours=[k for k in kinds if k in ICMP_KINDS],
                errors=[k for k in kinds if k in ICMP_ERRORS],
                kinds=kinds,
            )
        raise UnclearError(f"match of {protocol} {field}")

    def _address(self, protocol: str, field: str, op: str, right: Any) -> Match:
        if field != PEER_FIELD[self.direction]:
            raise UnclearError(f"match of {protocol} {field}, an address of the host itself")
        family = frozenset({FAMILY_OF[protocol]})
        networks = tuple(n for value in self._values(right) for n in _networks(value))
        if op in EQUAL:
            return Match(family, networks=networks)
        if op == "!=":
            return Match(family, excluded=networks)
        raise UnclearError(f"match of {protocol} {field} by {op}")

    def _meta(self, key: str, op: str, right: Any) -> Match:
        names = [str(value) for value in self._values(right)]
        if key == "l4proto" and op in EQUAL:
            return protocols(names, self.families)
        if key in ("nfproto", "protocol") and op in EQUAL and set(names) <= FAMILY_OF.keys():
            return Match(families=frozenset(FAMILY_OF[name] for name in names))
        if key in ("iifname", "iif", "oifname", "oif"):
            ours = key.startswith("i") == (self.direction is Direction.INGRESS)
            return interface(names, ours=ours, negated=op not in EQUAL)
        raise UnclearError(f"match of meta {key}")

    def _values(self, right: Any) -> Iterator[Any]:
        """The elements of a value: one, a set, a named set, a list of flags."""
        if isinstance(right, str) and right.startswith("@"):
            yield from self._named_set(right[1:])
        elif isinstance(right, dict) and "set" in right:
            yield from right["set"]
        elif isinstance(right, list):
            yield from right
        else:
            yield right

    def _named_set(self, name: str) -> list[Any]:
        found = self.sets.get(name)
        if found is None:
            raise UnclearError(f"set {name} is not there")
        if set(found.get("flags", [])) & {"timeout", "dynamic"}:
            raise UnclearError(f"set {name} changes by itself")
        elements: list[Any] = found.get("elem", [])
        return elements

    def _ranges(self, op: str, right: Any) -> tuple[tuple[Range, ...], bool]:
        """Ranges of ports, and whether all others are meant."""
        found = tuple(_range(value) for value in self._values(right))
        if op in EQUAL or op == "!=":
            return found, op == "!="
        edge = found[0][0]
        spans = {
            "<": (0, edge - 1),
            "<=": (0, edge),
            ">": (edge + 1, MAX_PORT),
            ">=": (edge, MAX_PORT),
        }
        if op not in spans:
            raise UnclearError(f"match of ports by {op}")
        return (spans[op],), False


def _range(value: Any) -> Range:
    if isinstance(value, int):
        return value, value
    if isinstance(value, dict) and "range" in value:
        first, last = value["range"]
        if isinstance(first, int) and isinstance(last, int):
            return first, last
    raise UnclearError(f"port {_short(value)}")


def _networks(value: Any) -> Sequence[Network]:
    try:
        if isinstance(value, str):
            return (ip_network(value),)
        if isinstance(value, dict) and "prefix" in value:
            return (ip_network(f"{value['prefix']['addr']}/{value['prefix']['len']}"),)
        if isinstance(value, dict) and "range" in value:
            first, last = map(ip_address, value["range"])
            return tuple(summarize_address_range(first, last))
    except (ValueError, TypeError):
        pass
    raise UnclearError(f"address {_short(value)}")


def _named(kind: str, what: Any) -> str:
    words = [kind, *map(str, what.values())] if isinstance(what, dict) else [kind]
    return " ".join(word for word in words if word) or "an expression"


def _short(value: Any) -> str:
    return str(value)[:60]


def text(expressions: Sequence[Mapping[str, Any]], comment: str) -> str:
    """A rule for people, nearly as nft prints it."""
    words = [word for entry in expressions for word in _words(entry)]
    return " ".join([*words, *([f'comment "{comment}"'] if comment else [])])


def _words(entry: Mapping[str, Any]) -> Iterator[str]:
    [(kind, content)] = entry.items()
    if kind == "match":
        op = "" if content["op"] in EQUAL else f"{content['op']} "
        yield f"{value_text(content['left'])} {op}{value_text(content['right'])}"
    elif kind == "vmap":
        yield f"{value_text(content['key'])} vmap {value_text(content['data'])}"
    elif kind in ("jump", "goto"):
        yield f"{kind} {content['target']}"
    elif kind != "counter":
        yield kind


def value_text(value: Any) -> str:
    if isinstance(value, list):
        return ",".join(map(value_text, value))
    if not isinstance(value, dict):
        return str(value)
    [(kind, content)] = value.items()
    if kind == "set":
        return "{ " + ", ".join(_element(item) for item in content) + " }"
    if kind == "prefix":
        return f"{value_text(content['addr'])}/{content['len']}"
    if kind == "range":
        return "-".join(map(value_text, content))
    if kind == "payload":
        return f"{content.get('protocol', '@')} {content.get('field', '')}".strip()
    if kind in ("meta", "ct"):
        return f"{kind} {content['key']}"
    return f"{kind} {value_text(content)}" if content is not None else kind


def _element(item: Any) -> str:
    if isinstance(item, list) and len(item) == 2:
        return f"{value_text(item[0])} : {value_text(item[1])}"
    return value_text(item)
