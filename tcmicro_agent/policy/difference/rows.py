"""Changes as few rows: those that differ in one respect only become one. What they say together stays exact."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from typing import TypeVar

from tcmicro_agent.policy.difference.diff import Change, Shift
from tcmicro_agent.policy.reach.parties import ALL4, ALL6, Party
from tcmicro_agent.policy.reach.spans import Cause

T = TypeVar("T")

WORLD = {ALL4, ALL6}

Parties = tuple[Party, ...]


@dataclass(frozen=True)
class Row:
    """Changes of the same services from any of the sources to any of the targets of their family."""

    shifts: tuple[Shift, ...]
    sources: Parties
    targets: Parties

    @property
    def opens(self) -> bool:
        return self.shifts[0].opens

    @property
    def was(self) -> tuple[Cause, ...]:
        return tuple(dict.fromkeys(shift.was for shift in self.shifts))

    @property
    def now(self) -> tuple[Cause, ...]:
        return tuple(dict.fromkeys(shift.now for shift in self.shifts))

    @property
    def versions(self) -> set[int]:
        return {party.version for party in self.sources}


def rows_of(changes: Iterable[Change]) -> list[Row]:
    """A product of the same sources, or of the same targets, takes another in; so does one of the other family."""
    rows = [Row((change.shift,), change.sources, change.targets) for change in changes]
    rows = _merged(rows, lambda row: frozenset(row.sources))
    rows = _merged(rows, lambda row: frozenset(row.targets))
    return _merged(rows, lambda row: (_family_free(row.sources), _family_free(row.targets)))


def _merged(rows: Iterable[Row], alike: Callable[[Row], Hashable]) -> list[Row]:
    found: dict[Hashable, list[Row]] = {}
    for row in rows:
        found.setdefault((_kind(row), alike(row)), []).append(row)
    return [
        Row(
            _distinct(shift for row in same for shift in row.shifts),
            _distinct(party for row in same for party in row.sources),
            _distinct(party for row in same for party in row.targets),
        )
        for same in found.values()
    ]


def _distinct(items: Iterable[T]) -> tuple[T, ...]:
    return tuple(dict.fromkeys(items))


def _kind(row: Row) -> Hashable:
    """What a row is about: services and rules; which policy's default it is may differ."""
    shift = row.shifts[0]
    return shift.opens, shift.services, *(_soft(cause) for cause in (shift.was, shift.now))


def _soft(cause: Cause) -> Hashable:
    return cause.action, cause.rule, cause.source, cause.mode


def _family_free(parties: Parties) -> Hashable:
    """The hosts, whether the world is among the rest, and whether there are other networks."""
    hosts = frozenset().union(*(party.hosts for party in parties))
    networks = {network for party in parties for network in party.networks}
    return hosts, bool(networks & WORLD), bool(networks - WORLD)
