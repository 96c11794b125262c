"""Answers to questions about connections, and which of them say the same."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import dataclass, replace
from enum import Enum
from itertools import product

from tcmicro_agent.policy.explanation.crews import Crew
from tcmicro_agent.policy.explanation.lacks import Stranger
from tcmicro_agent.policy.explanation.misses import Miss
from tcmicro_agent.policy.intent import End
from tcmicro_agent.policy.inventory import Address
from tcmicro_agent.policy.model import Action, Direction, Mode, Service
from tcmicro_agent.policy.reach.spans import Cause


class Outcome(Enum):
    """`audited`: refused by policies in mode monitor alone, so it is counted and passes."""

    ALLOWED = "allowed"
    AUDITED = "would be denied"
    DENIED = "denied"
    UNKNOWN = "undecidable"


@dataclass(frozen=True)
class Question:
    """May `source` open connections to one port (or ICMP) of `target`?"""

    source: End
    target: End
    service: Service


@dataclass(frozen=True)
class EndAnswer:
    """What one end that is ours decides; `place` is file:line of the rule, or of the policy whose default it is."""

    direction: Direction
    host: str
    cause: Cause
    place: str
    misses: tuple[Miss, ...] = ()
    peer: Stranger | None = None


@dataclass(frozen=True)
class Answer:
    """For all of `sources` and `targets` alike, shown for one address of each. `ends` are those in the inventory."""

    sources: Crew
    targets: Crew
    addresses: tuple[tuple[Address, Address], ...]
    ends: tuple[EndAnswer, ...]
    note: str = ""  # where no end decides: why
    decidable: bool = True

    @property
    def of_all(self) -> bool:
        """Whether it holds for every pair of addresses of one family."""
        pairs = product(self.sources.addresses, self.targets.addresses)
        return len(self.addresses) == sum(one.version == other.version for one, other in pairs)

    @property
    def outcome(self) -> Outcome:
        if not self.decidable:
            return Outcome.UNKNOWN
        denying = [end.cause for end in self.ends if not end.cause.allows]
        if any(cause.mode is Mode.PROTECT for cause in denying):
            return Outcome.DENIED
        return Outcome.AUDITED if denying else Outcome.ALLOWED


@dataclass(frozen=True)
class Explanation:
    question: Question
    answers: tuple[Answer, ...]

    @property
    def verdict(self) -> Action | None:
        """What policy says of all of it, whatever the mode; None where answers differ or one is unknown."""
        found = {_action(answer.outcome) for answer in self.answers}
        return found.pop() if len(found) == 1 else None


def _action(outcome: Outcome) -> Action | None:
    if outcome is Outcome.UNKNOWN:
        return None
    return Action.ALLOW if outcome is Outcome.ALLOWED else Action.DENY


def told(ends: Iterable[EndAnswer]) -> Hashable:
    """What is said of the ends: what decides, and the nearest miss by its rule."""
    return tuple(
        (end.direction, end.cause, tuple((miss.rule, miss.lack) for miss in end.misses[:1]))
        for end in ends
    )


def merged(answers: Iterable[Answer]) -> list[Answer]:
    """Answers that say the same of the same targets become one, and then those of the same sources."""
    by_target: dict[Hashable, list[Answer]] = {}
    for answer in answers:
        by_target.setdefault((_said(answer), answer.targets.names), []).append(answer)
    found = [replace(a[0], sources=_joined(x.sources for x in a)) for a in by_target.values()]
    by_source: dict[Hashable, list[Answer]] = {}
    for answer in found:
        by_source.setdefault((_said(answer), answer.sources.names), []).append(answer)
    return [replace(a[0], targets=_joined(x.targets for x in a)) for a in by_source.values()]


def _said(answer: Answer) -> Hashable:
    """An answer about some addresses only stays by itself."""
    return answer.note, told(answer.ends), () if answer.of_all else answer.addresses


def _joined(crews: Iterable[Crew]) -> Crew:
    first, *others = crews
    names = dict.fromkeys(name for crew in (first, *others) for name in crew.names)
    return replace(first, names=tuple(names))
