"""What changes, phase by phase: now, and from each later time at which rules that begin or expire change that."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tcmicro_agent.policy.difference import diff_document, diff_text
from tcmicro_agent.policy.difference.diff import changes
from tcmicro_agent.policy.difference.diff_text import SAME, Line
from tcmicro_agent.policy.difference.host_diff import bundle_changes
from tcmicro_agent.policy.difference.timeline import at_time, instants
from tcmicro_agent.policy.inventory import Inventory
from tcmicro_agent.policy.model import Bundle
from tcmicro_agent.policy.reach.naming import Naming
from tcmicro_agent.policy.windows import written


@dataclass(frozen=True)
class Phase:
    """What changes from a time on."""

    since: float
    lines: tuple[Line, ...]
    turns: tuple[str, ...]
    document: Mapping[str, Any] = field(compare=False)

    def __bool__(self) -> bool:
        return bool(self.lines or self.turns)


@dataclass(frozen=True)
class Report:
    """The phases, each other than the one before; the first is now. False when nothing ever changes."""

    phases: tuple[Phase, ...]

    def __bool__(self) -> bool:
        return any(self.phases)

    def plain(self) -> str:
        return "\n".join(self._shown(diff_text.plain, "from {}:"))

    def markdown(self) -> str:
        return "\n\n".join(self._shown(diff_text.markdown, "### From {}"))

    def documents(self) -> list[dict[str, Any]]:
        return [
            {"from": written(int(phase.since)) if number else None, **phase.document}
            for number, phase in enumerate(self.phases)
            if self
        ]

    def _shown(
        self, form: Callable[[Sequence[Line], Sequence[str]], str], head: str
    ) -> Iterable[str]:
        if not self:
            yield SAME
            return
        for number, phase in enumerate(self.phases):
            if number:
                yield head.format(written(int(phase.since)))
            yield form(phase.lines, phase.turns)


def fleet_report(
    old: Mapping[str, Bundle], new: Mapping[str, Bundle], inventory: Inventory, now: float
) -> Report:
    """Between the bundles of a fleet."""
    naming = Naming(inventory)

    def look(time: float) -> Phase:
        found = changes(at_time(old, time), at_time(new, time), inventory)
        document = {
            "connections": [
                diff_document.connection_document(change, naming) for change in found.connections
            ],
            "settings": [diff_document.turn_document(turn) for turn in found.turns],
        }
        turns = (diff_text.turn_text(turn, naming.name(turn.hosts)) for turn in found.turns)
        return Phase(time, tuple(diff_text.fleet_lines(found, naming)), tuple(turns), document)

    return _report([now, *instants([*old.values(), *new.values()], now)], look)


def host_report(old: Bundle, new: Bundle, now: float) -> Report:
    """Between the bundle a host has and the one it shall have."""

    def look(time: float) -> Phase:
        before, after = (at_time({"": bundle}, time)[""] for bundle in (old, new))
        found = bundle_changes(before, after)
        document = {
            "connections": [
                diff_document.peer_document(change, found) for change in found.connections
            ],
            "settings": [diff_document.turn_document(turn) for turn in found.turns],
        }
        turns = (diff_text.turn_text(turn, new.host) for turn in found.turns)
        return Phase(time, tuple(diff_text.host_lines(found)), tuple(turns), document)

    return _report([now, *instants([old, new], now)], look)


def _report(times: Iterable[float], look: Callable[[float], Phase]) -> Report:
    phases: list[Phase] = []
    for phase in map(look, times):
        if not phases or (phase.lines, phase.turns) != (phases[-1].lines, phases[-1].turns):
            phases.append(phase)
    return Report(tuple(phases))
