"""Chains of rules where the first match decides → tiers of rules where deny beats allow.

Calls of other chains are written out. Then every rule gets a level: a refusal that stands below an overlapping
permission needs a lower tier than it; in all other cases they can share one, for in a tier deny beats allow anyhow.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum

from tcmicro_agent.importers.draft import (
    DraftPolicy,
    DraftRule,
    Effect,
    Hosts,
    Import,
    Report,
    by_policy,
    name_from,
)
from tcmicro_agent.importers.match import BOTH, Match
from tcmicro_agent.policy.intent import Tier
from tcmicro_agent.policy.model import Action, Direction

TIERS: Mapping[int, tuple[Tier, ...]] = {  # by how many levels there are
    1: (Tier.APP,),
    2: (Tier.PLATFORM, Tier.APP),
    3: (Tier.PLATFORM, Tier.APP, Tier.BASELINE),
}
MOST_LEVELS = max(TIERS)
MOST_RULES = 2000  # calls of chains that call chains multiply
MOST_CALLS = 16
NOWHERE = Hosts(groups=("imported",))


class Then(Enum):
    """What a rule does with what it matches."""

    ACCEPT = "accept"
    DROP = "drop"
    CALL = "call"
    RETURN = "return"
    NOTHING = "nothing"


EFFECTS = {
    Then.ACCEPT: Effect.NARROWER,
    Then.DROP: Effect.WIDER,
    Then.CALL: Effect.EITHER,
    Then.RETURN: Effect.EITHER,
    Then.NOTHING: Effect.NONE,
}


@dataclass(frozen=True)
class Line:
    """One rule. `unclear`: why no policy can say what it matches or does; `lost`: what it does besides and is not
    carried; both "" where there is nothing of the kind."""

    where: str
    text: str
    match: Match
    then: Then
    target: str = ""
    unclear: str = ""
    lost: str = ""


@dataclass(frozen=True)
class Chain:
    """`direction` is set for chains the kernel calls for packets of the host; `default` is theirs."""

    name: str
    lines: tuple[Line, ...]
    families: frozenset[int] = BOTH
    direction: Direction | None = None
    forward: bool = False
    default: Action = Action.ALLOW
    priority: int = 0

    @property
    def only_refuses(self) -> bool:
        """Then it can stand before other chains: refused is refused."""
        drops = (Then.DROP, Then.NOTHING)
        clear = all(line.then in drops or line.match.never for line in self.lines)
        return self.default is Action.ALLOW and clear


Chains = Mapping[str, Chain]


@dataclass(frozen=True)
class Firewall:
    """Every chain as it is read for a direction, for that tells which address is the peer's. `known`: the families it
    is about; of the others it says nothing."""

    chains: Mapping[Direction, Chains]
    known: frozenset[int] = BOTH


def convert(firewall: Firewall, name: str, report: Report) -> Import:
    lines: list[tuple[Direction, Line]] = []
    defaults = {}
    for direction in Direction:
        called = _called(firewall, direction)
        defaults[direction], last = _default(firewall, called, direction, report)
        for chain in _in_order(called, direction, report):
            start = Match(families=chain.families & firewall.known)
            chains = firewall.chains[direction]
            flat = _written_out(chains, chain, start, (chain.name,), report)
            lines += ((direction, line) for line in flat)
        lines += ((direction, line) for line in last)
    base = DraftPolicy(
        name,
        Tier.APP,
        NOWHERE,
        defaults[Direction.INGRESS],
        defaults[Direction.EGRESS],
        _forward(firewall, report),
        (),
    )
    drafted = _drafted(lines, report)
    count = max((level for level, _ in drafted), default=0) + 1
    return Import(by_policy(base, drafted, TIERS[count]), report)


def _called(firewall: Firewall, direction: Direction) -> list[Chain]:
    found = [chain for chain in firewall.chains[direction].values() if chain.direction is direction]
    return sorted(found, key=lambda chain: chain.priority)


def _default(
    firewall: Firewall, called: Sequence[Chain], direction: Direction, report: Report
) -> tuple[Action, list[Line]]:
    """One for both families; where they differ, the open one gets a rule of its own at the end."""
    by_family = dict.fromkeys(sorted(firewall.known), Action.ALLOW)
    for chain in called:
        if chain.default is Action.DENY:
            by_family.update(dict.fromkeys(chain.families & firewall.known, Action.DENY))
    for family in BOTH - firewall.known:
        report.note(
            f"these are rules for IPv{10 - family} alone; what they leave to the default is the default "
            f"of IPv{family} too, so import its rules as well"
        )
    refused = Action.DENY in by_family.values()
    open_ones = [f for f, action in by_family.items() if action is Action.ALLOW and refused]
    last = []
    for family in open_ones:
        report.note(
            f"IPv{family} is not refused by default in direction {direction.value}: a rule says so"
        )
        where = f"default of {direction.value} for IPv{family}"
        last.append(Line(where, "accept", Match(frozenset({family})), Then.ACCEPT))
    return Action.DENY if refused else Action.ALLOW, last


def _in_order(called: Sequence[Chain], direction: Direction, report: Report) -> Iterator[Chain]:
    """Chains that only refuse first; of the others one for each family, for each may refuse what another permits."""
    yield from (chain for chain in called if chain.only_refuses)
    taken: set[int] = set()
    for chain in (chain for chain in called if not chain.only_refuses):
        if taken & chain.families:
            why = f"a second chain for {direction.value} that both permits and refuses"
            text = f"{len(chain.lines)} rules"
            report.leave_out(f"chain {chain.name}", text, why, Effect.WIDER)
            continue
        taken |= chain.families
        yield chain


def _forward(firewall: Firewall, report: Report) -> Action:
    """Routed traffic has a default and no rules."""
    chains = [chain for chain in firewall.chains[Direction.INGRESS].values() if chain.forward]
    why = "rules about forwarded traffic are not in this release, only its default is"
    for chain in chains:
        for line in (line for line in chain.lines if not line.match.never):
            report.leave_out(line.where, line.text, why, EFFECTS[line.then])
    return Action.DENY if any(chain.default is Action.DENY for chain in chains) else Action.ALLOW


def _written_out(
    chains: Chains, chain: Chain, around: Match, path: tuple[str, ...], report: Report
) -> Iterator[Line]:
    """The rules of a chain for what `around` matches, those of called chains in the place of the call."""
    for position, line in enumerate(chain.lines):
        match = line.match.also(around)
        if line.lost:
            report.leave_out(line.where, line.text, line.lost, Effect.NONE)
        if line.match.never:
            if line.match.always and line.then is Then.DROP:
                report.leave_out(
                    line.where, line.text, "such packets always pass here", Effect.WIDER
                )
        elif line.unclear:
            report.leave_out(line.where, line.text, line.unclear, EFFECTS[line.then])
        elif match.matches_nothing:
            continue
        elif line.then is Then.CALL:
            yield from _call(chains, replace(line, match=match), path, report)
        elif line.then is Then.RETURN:
            around = _after_return(line, around, chain.lines[position + 1 :], report)
        elif line.then is not Then.NOTHING:
            yield replace(line, match=match)


def _call(chains: Chains, line: Line, path: tuple[str, ...], report: Report) -> Iterator[Line]:
    target = chains.get(line.target)
    if target is None or line.target in path or len(path) > MOST_CALLS:
        why = (
            f"chain {line.target} is not known" if target is None else "chains that call each other"
        )
        report.leave_out(line.where, line.text, why, Effect.EITHER)
        return
    yield from _written_out(chains, target, line.match, (*path, line.target), report)


def _after_return(line: Line, around: Match, rest: Iterable[Line], report: Report) -> Match:
    """What is left of the packets for the rules behind a return."""
    if line.match == Match():
        return replace(around, never=True)
    if line.match.only_networks and line.match.networks:
        return around.but(line.match.networks)
    report.leave_out(
        line.where, line.text, "a return for anything but networks of the peer", Effect.EITHER
    )
    for skipped in rest:
        why = f"stands behind the return of {line.where}"
        report.leave_out(skipped.where, skipped.text, why, EFFECTS[skipped.then])
    return replace(around, never=True)


def _drafted(
    lines: Sequence[tuple[Direction, Line]], report: Report
) -> list[tuple[int, DraftRule]]:
    """(level, rule) of each; refusals that would need a level too many share the last, which can only refuse more."""
    if len(lines) > MOST_RULES:
        report.leave_out(
            lines[MOST_RULES][1].where,
            f"{len(lines) - MOST_RULES} rules from here on",
            f"more than {MOST_RULES} rules",
            Effect.EITHER,
        )
    placed: list[tuple[int, Direction, Line]] = []
    for direction, line in lines[:MOST_RULES]:
        level = _level(direction, line, placed)
        if level >= MOST_LEVELS:
            why = (
                f"refuses below {MOST_LEVELS} turns of permissions, and now before the last of them"
            )
            report.leave_out(line.where, line.text, why, Effect.NARROWER)
        placed.append((min(level, MOST_LEVELS - 1), direction, line))
    return [
        (level, _rule(n, direction, line)) for n, (level, direction, line) in enumerate(placed, 1)
    ]


def _level(direction: Direction, line: Line, before: Iterable[tuple[int, Direction, Line]]) -> int:
    level = 0
    for theirs, way, other in before:
        if way is not direction or other.then is line.then:
            continue
        needed = theirs + (other.then is Then.ACCEPT)  # a permission above a refusal: a tier above
        if needed > level and other.match.overlaps(line.match):
            level = needed
    return level


def _rule(number: int, direction: Direction, line: Line) -> DraftRule:
    peer = line.match.peer
    everybody = {str(net) for net in peer.networks} == {"0.0.0.0/0", "::/0"} and not peer.excluded
    return DraftRule(
        id=name_from(f"{direction.value}-{number}"),
        direction=direction,
        action=Action.ALLOW if line.then is Then.ACCEPT else Action.DENY,
        peers=() if everybody else (peer,),
        services=line.match.services,
        origin=f"{line.where}: {line.text}",
    )
