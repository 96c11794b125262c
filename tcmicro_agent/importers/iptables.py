"""The output of `iptables-save` or `ip6tables-save` → chains. What is not understood to the last word is left out."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from ipaddress import ip_address, ip_network, summarize_address_range

from tcmicro_agent.errors import PolicyError
from tcmicro_agent.importers.chains import Chain, Firewall, Line, Then, convert
from tcmicro_agent.importers.draft import LOGGED, REJECTED, Effect, Import, Report
from tcmicro_agent.importers.match import (
    Match,
    Range,
    UnclearError,
    icmp_kinds,
    interface,
    ports,
    protocols,
    states,
)
from tcmicro_agent.policy.model import Action, Direction, Network

BASE = {"INPUT": Direction.INGRESS, "OUTPUT": Direction.EGRESS}
FORWARD = "FORWARD"
TARGETS = {"ACCEPT": Then.ACCEPT, "DROP": Then.DROP, "REJECT": Then.DROP, "RETURN": Then.RETURN}
MODULES = {  # that only name the options that follow
    *(
        "tcp",
        "udp",
        "sctp",
        "icmp",
        "icmp6",
        "conntrack",
        "state",
        "multiport",
        "comment",
        "iprange",
    )
}
NEIGHBOURS = {*map(str, (*range(130, 137), 143)), "router-solicitation", "router-advertisement"}
NEIGHBOURS |= {"neighbour-solicitation", "neighbour-advertisement"}
NEIGHBOURS |= {"neighbor-solicitation", "neighbor-advertisement"}
ERRORS = {
    4: {"3", "4", "11", "12", "destination-unreachable", "time-exceeded", "parameter-problem"},
    6: {"1", "2", "3", "4", "destination-unreachable", "packet-too-big", "time-exceeded"},
}


@dataclass
class Table:
    """Of one family: policies of the built-in chains, rules as (line number, words)."""

    family: int
    policies: dict[str, str] = field(default_factory=dict)
    rules: dict[str, list[tuple[int, list[str]]]] = field(default_factory=dict)


def read(text: str, name: str) -> Import:
    """Raises PolicyError for what is no output of iptables-save. Both families may stand in one text."""
    report = Report()
    tables = _tables(text, report)
    if not tables:
        raise PolicyError(["no table filter in it"], hint="iptables-save > FILE")
    if any("REJECT" in words for t in tables for r in t.rules.values() for _, words in r):
        report.note(REJECTED)
    chains = {way: dict(_chains(tables, way)) for way in Direction}
    return convert(Firewall(chains, frozenset(t.family for t in tables)), name, report)


def _tables(text: str, report: Report) -> list[Table]:
    found: list[Table] = []
    name, family, ignored = "", 4, 0
    for number, line in enumerate(text.splitlines(), start=1):
        if line.startswith("#") or not line.strip():
            family = 6 if "ip6tables-save" in line else 4 if "iptables-save" in line else family
        elif line.startswith("*"):
            name, ignored = line[1:].strip(), 0
            if name == "filter":
                found.append(Table(family))
        elif line.strip() == "COMMIT":
            if ignored:
                what = f"{ignored} rules of table {name}"
                why = "only table filter is carried"
                report.leave_out(f"line {number}", what, why, Effect.EITHER)
            name = ""
        elif name == "filter":
            _add(found[-1], number, line)
        elif name:
            ignored += line.startswith("-A") or (line.startswith(":") and " DROP" in line)
        else:
            raise PolicyError([f"line {number}: {line[:60]!r} stands in no table"])
    return found


def _add(table: Table, number: int, line: str) -> None:
    try:
        words = shlex.split(re.sub(r"^\[\d+:\d+\]\s*", "", line))
    except ValueError as exc:
        raise PolicyError([f"line {number}: {exc}"]) from exc
    if words[0].startswith(":") and len(words) >= 2:
        table.policies[words[0][1:]] = words[1]
        table.rules.setdefault(words[0][1:], [])
    elif words[0] == "-A" and len(words) >= 2:
        table.rules.setdefault(words[1], []).append((number, words[2:]))
    else:
        raise PolicyError([f"line {number}: {line[:60]!r} is neither a chain nor a rule"])


def _chains(tables: Sequence[Table], direction: Direction) -> Iterator[tuple[str, Chain]]:
    for table in tables:
        for name, rules in table.rules.items():
            lines = tuple(_line(n, words, name, table, direction) for n, words in rules)
            known = _name(table, name)
            yield (
                known,
                Chain(
                    known,
                    lines,
                    frozenset({table.family}),
                    BASE.get(name),
                    forward=name == FORWARD,
                    default=Action.DENY if table.policies.get(name) == "DROP" else Action.ALLOW,
                ),
            )


def _name(table: Table, name: str) -> str:
    return f"ip6 {name}" if table.family == 6 else name


def _line(number: int, words: list[str], chain: str, table: Table, direction: Direction) -> Line:
    line = Line(f"line {number}", shlex.join(["-A", chain, *words]), Match(), Then.NOTHING)
    options = Options(words, direction, table.family)
    try:
        for match in options.matches():
            line = replace(line, match=line.match.also(match))
    except UnclearError as exc:
        line = replace(line, unclear=f"{exc} is not carried")
    return _decide(line, *_target(words), table)


def _target(words: Sequence[str]) -> tuple[str, str]:
    """The option that ends a rule, and where it leads; options may stand behind it."""
    for option, target in zip(words, words[1:]):
        if option in ("-j", "-g", "--jump", "--goto"):
            return option, target
    return "", ""


def _decide(line: Line, option: str, target: str, table: Table) -> Line:
    if option in ("-g", "--goto"):
        return replace(line, then=Then.CALL, unclear=line.unclear or "goto is not carried")
    if target in TARGETS:
        return replace(line, then=TARGETS[target])
    if target in ("LOG", "NFLOG"):
        return replace(line, lost=LOGGED, unclear="")
    if not target:
        return line
    if _name(table, target) in (_name(table, name) for name in table.rules):
        return replace(line, then=Then.CALL, target=_name(table, target))
    return replace(line, unclear=line.unclear or f"target {target} is not carried")


class Options:
    """The words of a rule, one match after the other."""

    def __init__(self, words: Sequence[str], direction: Direction, family: int) -> None:
        self._words = list(words)
        self._family = family
        self._protocol: list[str] = []
        ingress = direction is Direction.INGRESS
        peer, ours = ("source", "destination") if ingress else ("destination", "source")
        self._peer, self._ours = peer, ours
        self._way = "-i" if ingress else "-o"

    def matches(self) -> Iterator[Match]:
        """Raises UnclearError at the first that no policy can say."""
        while self._words:
            negated = self._words[0] == "!"
            if negated:
                self._words.pop(0)
            option = self._words.pop(0)
            if option in ("-j", "-g", "--jump", "--goto"):
                return
            if option in ("-m", "--match"):
                self._module()
            else:
                yield self._match(
                    option, self._words.pop(0) if self._words else "", negated=negated
                )

    def _module(self) -> None:
        name = self._words.pop(0) if self._words else ""
        if name not in MODULES:
            raise UnclearError(f"module {name}")

    def _match(self, option: str, value: str, *, negated: bool) -> Match:
        if option in ("-p", "--protocol"):
            return self._of_protocol(value, negated=negated)
        if option in ("-s", "--source", "-d", "--destination"):
            side = "source" if option in ("-s", "--source") else "destination"
            return self._address(side, _networks(value), negated=negated)
        if option in ("--src-range", "--dst-range"):
            side = "source" if option == "--src-range" else "destination"
            return self._address(side, _span(value), negated=negated)
        if option in ("--dport", "--dports", "--destination-port"):
            ranges = tuple(map(_range, value.split(",")))
            if not self._protocol:
                raise UnclearError("a port of no named protocol")
            return ports((ranges, negated))
        if option in ("--ctstate", "--state"):
            return states([word.lower() for word in value.split(",")], negated=negated)
        if option in ("-i", "-o"):
            return interface([value], ours=option == self._way, negated=negated)
        return self._special(option, value, negated=negated)

    def _special(self, option: str, value: str, *, negated: bool) -> Match:
        if option == "--comment":
            return Match()
        if option in ("--icmp-type", "--icmpv6-type") and not negated:
            kind = value.split("/")[0]
            if kind == "any":
                return Match()
            near = [kind] if self._family == 6 and kind in NEIGHBOURS else []
            errors = [kind] if kind in ERRORS[self._family] and not near else []
            return icmp_kinds(neighbours=near, errors=errors, kinds=[kind])
        raise UnclearError(f"{'! ' if negated else ''}{option}")

    def _of_protocol(self, value: str, *, negated: bool) -> Match:
        if negated:
            raise UnclearError("! -p")
        if value in ("all", "0"):
            return Match()
        self._protocol = [value]
        name = {"58": "ipv6-icmp", "1": "icmp", "6": "tcp", "17": "udp", "132": "sctp"}.get(value)
        return protocols([name or value], frozenset({self._family}))

    def _address(self, side: str, networks: tuple[Network, ...], *, negated: bool) -> Match:
        if side == self._ours:
            raise UnclearError(f"match of the {side}, an address of the host itself,")
        return Match(excluded=networks) if negated else Match(networks=networks)


def _networks(value: str) -> tuple[Network, ...]:
    return _addresses(lambda: (ip_network(value, strict=False),), value)


def _span(value: str) -> tuple[Network, ...]:
    first, _, last = value.partition("-")
    return _addresses(
        lambda: tuple(summarize_address_range(ip_address(first), ip_address(last))),
        value,
    )


def _addresses(parse: Callable[[], tuple[Network, ...]], value: str) -> tuple[Network, ...]:
    try:
        return parse()
    except (ValueError, TypeError):
        raise UnclearError(f"address {value}") from None


def _range(text: str) -> Range:
    first, _, last = text.partition(":")
    low, high = first or "0", last or ("65535" if ":" in text else first)
    if not (low.isdigit() and high.isdigit() and int(low) <= int(high) <= 65535):
        raise UnclearError(f"port {text}")
    return int(low), int(high)
