# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What happens next in a rollout, and what is said of it at its end. Pure: reads what the journal holds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.tcmicro.fleet.plugins.plugin_utils import gate, looks, way_back
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.journal import observation
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.journal.journal import HostRow, Record
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.journal.states import (
    TOUCHED,
    Host,
    Rollout,
    Wave,
)
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.looks import Look, first_line, trouble
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.tables import count, utc

MORE_LOOKS = {"inconclusive": 2, "error": 1}  # after the first; then the wave has failed
MARGIN_S = 300
ASKED = "it was asked for"
POLICY_BEFORE = "the policy before"

Groups = Mapping[str, Sequence[str]]


def batches(groups: Groups, prefix: str) -> list[int]:
    """Sizes for `serial`, of the groups <prefix>_1, <prefix>_2, …; [1] for none, because 0 would mean everybody."""
    sizes: list[int] = []
    while (name := f"{prefix}_{len(sizes) + 1}") in groups:
        sizes.append(len(groups[name]))
    return sizes or [1]


def trial_s(bake: int) -> int:
    """How long hosts try something before they go back: a bake, as often as it may be repeated, and time to answer."""
    return bake * (1 + max(MORE_LOOKS.values())) + MARGIN_S


def needs_s(bake: int) -> int:
    """What of its trial must be left for a host to be judged in it."""
    return bake + MARGIN_S // 5


def after_verdict(outcome: str, looks: int) -> str:
    """keep, judge once more or stop, after that many looks. What is not known to be well does not go on."""
    if outcome == "pass":
        return "keep"
    return "judge" if looks <= MORE_LOOKS.get(outcome, 0) else "stop"


# --- who is back


def attest(record: Record, row: HostRow, result: Any, look: Look | None) -> tuple[Host, str]:
    """What a host says of itself after it was taken back; nothing is concluded from a command that succeeded."""
    if look is None or look.get("unreachable"):
        return Host.LOST, trouble(look)
    reasons = gate.unwell(look)
    runs = observation.running(record.kind, look)
    if record.kind == "release" and not reasons:
        runs = str(looks.running(look))  # the process, not only what is installed
    if runs != row.before:
        wanted = row.before or "nothing"
        why = first_line((result or {}).get("msg")) if (result or {}).get("failed") else ""
        return Host.STUCK, f"it runs {record.kind} {runs or 'nothing'}, wanted {wanted}" + (
            f": {why}" if why else ""
        )
    return (Host.STUCK, reasons[0]) if reasons else (Host.RESTORED, "")


def ended(record: Record) -> Rollout:
    """The state of a rollout whose hosts were to be taken back."""
    if record.state is Rollout.HALTED or way_back.halted(record):
        return Rollout.HALTED
    touched = [row for row in record.hosts.values() if row.state in TOUCHED]
    back = all(row.state is Host.RESTORED for row in touched)
    return Rollout.BACK if back else Rollout.INCOMPLETE


# --- what is said


@dataclass(frozen=True)
class Names:
    """What was rolled out, for people: `canary of 0.1.1`, `canary of policies 3f2a9c10b7de`."""

    record: Record

    def __str__(self) -> str:
        if self.record.kind == "release":
            return self.record.subject
        if self.record.subject == POLICY_BEFORE:
            return POLICY_BEFORE
        return f"policies {self.record.subject[:12]}"


def complete(record: Record) -> bool:
    return bool(record.waves) and all(state is Wave.PASSED for state in record.waves.values())


def as_far_as(record: Record, last: int) -> bool:
    """Whether a rollout goes on and every wave up to that one has passed; not, where 0 stands for no wave."""
    waves = [state for number, state in record.waves.items() if number <= last]
    return record.state is Rollout.RUNNING and bool(waves) and set(waves) == {Wave.PASSED}


def waits(record: Record, last: int) -> str:
    """What is said of a rollout that was to end after a wave and did."""
    name, hosts = Names(record), [row for row in record.hosts.values() if row.wave <= last]
    return (
        f"rollout of {name} passed wave {last} of {len(record.waves)}, {count(hosts)} have it; go on with "
        f"-e rollout={record.id}, or take it back: playbooks/rollback.yml -e rollout={record.id}"
    )


def summary(record: Record) -> str:
    """One line: why it stopped first, then who was touched, restored and left alone."""
    name, waves = Names(record), len(record.waves)
    if complete(record) and record.state in (Rollout.RUNNING, Rollout.DONE):
        done = f"rollout of {name} done: {count(record.hosts)} in {waves} waves passed the gate"
        hint = f"; now set tcmicro_agent_release: {name} in the inventory, so that deploy.yml knows"
        return done + (hint if record.kind == "release" else "")
    if record.reason == ASKED:
        return "; ".join([*_halt(record), f"taken back, as asked: {name}", *_tail(record)])
    passed = [number for number, state in record.waves.items() if state is Wave.PASSED]
    head = (
        f"canary of {name} stopped in wave {min(len(passed) + 1, waves)} of {waves} by the gate: "
        f"{record.reason or 'a wave did not come to a verdict'}"
    )
    touched = f"touched: {_names(row.host for row in _touched(record))}"
    return "; ".join([*_halt(record), head, touched, *_tail(record)])


def _touched(record: Record) -> list[HostRow]:
    return [row for row in record.hosts.values() if row.state in TOUCHED]


def _halt(record: Record) -> list[str]:
    halted = record.state is Rollout.HALTED
    return ["TAKING BACK WAS HALTED: it fails on too many hosts, look at them first"] * halted


def _tail(record: Record) -> list[str]:
    untouched = [row for row in record.hosts.values() if row.state is Host.PLANNED]
    return [*_whereabouts(_touched(record)), f"untouched: {count(untouched)}"]


def _whereabouts(touched: Sequence[HostRow]) -> Iterable[str]:
    """By what they are back on; then who is not, and who is expected to be by when."""
    restored: dict[str, list[str]] = {}
    for row in touched:
        if row.state is Host.RESTORED:
            restored.setdefault(row.before[:12] or "nothing", []).append(row.host)
    for before, hosts in sorted(restored.items()):
        yield f"restored to {before}: {_names(hosts)}"
    stuck = [row for row in touched if row.state not in (Host.RESTORED, Host.LOST)]
    if stuck:
        told = (f"{row.host} ({row.failure or row.state.value})" for row in stuck)
        yield f"NOT restored: {', '.join(told)}"
    lost = [row for row in touched if row.state is Host.LOST]
    if lost:
        yield f"NOT reached: {', '.join(ledger(lost))}"


def ledger(lost: Iterable[HostRow]) -> list[str]:
    """Hosts that could not be asked, with the time by which they go back by themselves, if they do."""
    return [f"{row.host} ({_expected(row)})" for row in sorted(lost, key=lambda row: row.host)]


def _expected(row: HostRow) -> str:
    if row.back_by is None:
        return f"{row.failure or 'no contact'}; it does not go back by itself"
    return f"{row.failure or 'no contact'}; back by itself by {utc(row.back_by)}"


def _names(hosts: Iterable[str]) -> str:
    return ", ".join(sorted(hosts)) or "none"
