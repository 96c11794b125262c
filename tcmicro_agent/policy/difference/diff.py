"""What changes in meaning between two sets of bundles: connections that open or close, and modes. Never text.

A connection between two hosts is allowed when the bundle of the one lets it out and the bundle of the other lets it
in; outside of the inventory nobody is asked. Compared are verdicts, whatever the mode, for every party on every port.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from tcmicro_agent.policy.inventory import Inventory
from tcmicro_agent.policy.model import Action, Bundle, Direction, Mode
from tcmicro_agent.policy.reach.decisions import Decisions, Spans
from tcmicro_agent.policy.reach.parties import Bodies, Party, Rows, find_bodies, find_parties
from tcmicro_agent.policy.reach.spans import (
    Cause,
    PortRange,
    ServiceSet,
    allowed,
    joined,
    of_family,
    overlay,
)
from tcmicro_agent.policy.resolve import NO_POLICY

OLD, NEW = 0, 1

Pair = tuple[Party, Party]  # who opens the connection, and to whom


@dataclass(frozen=True)
class Shift:
    """Services that are allowed now and were not, or the other way, and what decided and decides that."""

    opens: bool
    services: ServiceSet
    was: Cause
    now: Cause


@dataclass(frozen=True)
class Change:
    """One shift for every connection from any of some parties to any of others, but of a host to itself."""

    shift: Shift
    sources: tuple[Party, ...]
    targets: tuple[Party, ...]


@dataclass(frozen=True)
class Turn:
    """A setting of some hosts that turns from one value to another: their mode, what they forward."""

    setting: str
    was: str
    now: str
    hosts: frozenset[str]


@dataclass(frozen=True)
class Changes:
    """Everything that changes in meaning; empty when nothing does. `parties` are all there are, for naming."""

    connections: tuple[Change, ...]
    turns: tuple[Turn, ...]
    parties: tuple[Party, ...]

    def __bool__(self) -> bool:
        return bool(self.connections or self.turns)


def changes(old: Mapping[str, Bundle], new: Mapping[str, Bundle], inventory: Inventory) -> Changes:
    """Between the bundles of a fleet. A host that has none on one side is under no policy there."""
    hosts = [name for name in inventory.hosts if name in old or name in new]
    sides = [{name: side.get(name, NO_POLICY) for name in hosts} for side in (old, new)]
    bodies = find_bodies(*sides) if hosts else Bodies((), {})
    parties = find_parties(bodies, inventory)
    comparison = _Comparison(bodies, parties)
    return Changes(tuple(comparison.connections()), tuple(turns(*sides)), tuple(parties))


def turns(old: Mapping[str, Bundle], new: Mapping[str, Bundle]) -> Iterator[Turn]:
    found: dict[tuple[str, str, str], set[str]] = {}
    for host, before in old.items():
        after = new[host]
        for setting, was, now in _settings(before, after):
            if was != now:
                found.setdefault((setting, was, now), set()).add(host)
    for (setting, was, now), hosts in sorted(found.items()):
        yield Turn(setting, was, now, frozenset(hosts))


def _settings(before: Bundle, after: Bundle) -> Iterator[tuple[str, str, str]]:
    yield "mode", _mode(before), _mode(after)
    yield "forwarded traffic", before.default_forward.value, after.default_forward.value


def _mode(bundle: Bundle) -> str:
    """Without a rule or a default that refuses, monitor and protect are the same: nothing is."""
    return mode_text(bundle) if refuses(bundle) else "allows everything"


def mode_text(bundle: Bundle) -> str:
    """`protect`, `protect (monitor: app-new)`."""
    monitoring = ", ".join(bundle.monitoring)
    return bundle.mode.value + (f" (monitor: {monitoring})" if monitoring else "")


def refuses(bundle: Bundle) -> bool:
    actions = [bundle.default_ingress, bundle.default_egress, bundle.default_forward]
    return Action.DENY in [*actions, *(rule.action for rule in bundle.rules)]


class _Comparison:
    """Looks only at parties whose own bundle says something else than before."""

    def __init__(self, bodies: Bodies, parties: Iterable[Party]) -> None:
        self._decisions = [Decisions(bundle) for bundle in bodies.bundles]
        self._parties = list(parties)
        self._differ: dict[tuple[int, int], bool] = {}
        self._shifts: dict[tuple[int, ...], tuple[Shift, ...]] = {}

    def connections(self) -> list[Change]:
        found: dict[Shift, list[Pair]] = {}
        for pair in self._candidates():
            for shift in self._compare(pair):
                found.setdefault(shift, []).append(pair)
        changes = [change for shift, pairs in found.items() for change in factored(shift, pairs)]
        return sorted(changes, key=_order)

    def _candidates(self) -> Iterator[Pair]:
        """Pairs where one end decides otherwise than before, each once."""
        mine: dict[Rows, list[Party]] = {}
        for party in self._parties:
            if party.ours and party.rows[OLD] != party.rows[NEW]:
                mine.setdefault(party.rows, []).append(party)
        found: dict[Pair, None] = {}
        for rows, subjects in mine.items():
            for peer in self._parties:
                for direction in Direction:
                    if self._decides_otherwise(rows, direction, peer):
                        found.update((p, None) for p in _pairs(subjects, direction, peer))
        return iter(found)

    def _decides_otherwise(self, rows: Rows, direction: Direction, peer: Party) -> bool:
        before, after = (
            self._decisions[row].spans(direction, peer.seen[row]) for row in (rows[OLD], rows[NEW])
        )
        key = id(before), id(after)  # both are kept by their Decisions, and so are their ids
        if key not in self._differ:
            self._differ[key] = allowed(before) != allowed(after)
        return self._differ[key]

    def _compare(self, pair: Pair) -> tuple[Shift, ...]:
        before, after = self._ends(pair, OLD), self._ends(pair, NEW)
        version = pair[0].version
        key = (version, *map(id, (*before, *after)))
        if key not in self._shifts:
            self._shifts[key] = tuple(shifts(before, after, version))
        return self._shifts[key]

    def _ends(self, pair: Pair, side: int) -> list[Spans]:
        """What the ends that are ours decide: egress of the source, ingress of the target."""
        source, target = pair
        found = []
        if source.ours:
            row = source.rows[side]
            found.append(self._decisions[row].spans(Direction.EGRESS, target.seen[row]))
        if target.ours:
            row = target.rows[side]
            found.append(self._decisions[row].spans(Direction.INGRESS, source.seen[row]))
        return found


def _pairs(subjects: Iterable[Party], direction: Direction, peer: Party) -> Iterator[Pair]:
    for subject in subjects:
        if subject.version == peer.version and not _is_one_host(subject, peer):
            yield (subject, peer) if direction is Direction.EGRESS else (peer, subject)


def _is_one_host(one: Party, other: Party) -> bool:
    return len(one.hosts) == 1 and one.hosts == other.hosts


def shifts(before: list[Spans], after: list[Spans], version: int) -> Iterator[Shift]:
    """Of one family, by what decides: the ports of one cause before and one after come together."""
    found: dict[tuple[Cause, Cause], list[PortRange]] = {}
    for part, causes in overlay(*before, *after):
        was, now = decisive(causes[: len(before)]), decisive(causes[len(before) :])
        if was.allows != now.allows:
            found.setdefault((was, now), []).append(part)
    for (was, now), parts in found.items():
        services = joined(of_family(joined(parts), version))
        if services:
            yield Shift(now.allows, services, was, now)


def decisive(causes: tuple[Cause, ...]) -> Cause:
    """Of the causes at both ends, the one to name: the first that denies, and drops, else the last allowing rule."""
    denying = [cause for cause in causes if not cause.allows]
    dropping = [cause for cause in denying if cause.mode is Mode.PROTECT]
    by_rule = [cause for cause in reversed(causes) if cause.rule]
    return (dropping or denying or by_rule or causes)[0]


def factored(shift: Shift, pairs: Iterable[Pair]) -> Iterator[Change]:
    """Pairs as few products of sources and targets."""
    targets: dict[Party, dict[Party, None]] = {}
    for source, target in pairs:
        targets.setdefault(source, {})[target] = None
    sources: dict[frozenset[Party], list[Party]] = {}
    for source, reached in targets.items():
        sources.setdefault(frozenset(reached), []).append(source)
    for reached_set, alike in sources.items():
        reached = targets[alike[0]]
        yield Change(shift, tuple(alike), tuple(p for p in reached if p in reached_set))


def _order(change: Change) -> tuple[object, ...]:
    shift = change.shift
    hosts = [sorted(h for p in side for h in p.hosts) for side in (change.sources, change.targets)]
    networks = [str(p.networks) for side in (change.sources, change.targets) for p in side]
    return not shift.opens, shift.services, hosts, networks, shift.was.order(), shift.now.order()
