# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What happened in a rollout so far, and the line about it at the end. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.tcmicro.fleet.plugins.plugin_utils import gate, looks, tables
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.tables import count


@dataclass(frozen=True)
class Course:
    """What happened: hosts by what they went through, and the looks at them before and after."""

    release: str
    ready: Sequence[str]
    touched: Sequence[str]
    passed: Sequence[str]
    waves: Sequence[int]
    before: Mapping[str, Mapping[str, Any]]
    after: Mapping[str, Mapping[str, Any]]
    reasons: Sequence[str]


Groups = Mapping[str, Sequence[str]]


def course(groups: Groups, hostvars: Mapping[str, Any], release: str) -> Course:
    """Read the course from what playbooks/canary.yml left in groups and host variables."""
    touched = list(groups.get("tcmicro_touched", ()))
    verdicts = tables.per_host(touched, hostvars, "tcmicro_gate_verdict").values()
    return Course(
        release=release,
        ready=list(groups.get("tcmicro_ready", ())),
        touched=touched,
        passed=list(groups.get("tcmicro_passed", ())),
        waves=sizes(groups),
        before=tables.per_host(touched, hostvars, "tcmicro_gate_before"),
        after=tables.per_host(touched, hostvars, "tcmicro_rollback_after"),
        reasons=list(
            dict.fromkeys(reason for verdict in verdicts for reason in verdict["reasons"])
        ),
    )


def sizes(groups: Groups) -> list[int]:
    """Sizes of the planned waves, which are the groups tcmicro_wave_1, tcmicro_wave_2, …"""
    return [len(wave) for wave in _waves(groups)] or [1]


def sizes_back(groups: Groups) -> list[int]:
    """Sizes of the waves to take the touched hosts back in, newest first."""
    touched = set(groups.get("tcmicro_touched", ()))
    return [
        len(touched & set(wave)) for wave in reversed(_waves(groups)) if touched & set(wave)
    ] or [1]


def complete(groups: Groups) -> bool:
    """Only when every host that was planned is known to have passed its gate."""
    ready = set(groups.get("tcmicro_ready", ()))
    return bool(ready) and ready <= set(groups.get("tcmicro_passed", ()))


def _waves(groups: Groups) -> list[Sequence[str]]:
    """The groups of the waves, in order."""
    found: list[Sequence[str]] = []
    while (name := f"tcmicro_wave_{len(found) + 1}") in groups:
        found.append(groups[name])
    return found


def summary(course: Course) -> str:
    """One line: why it stopped first, then who was touched, restored and left alone."""
    if set(course.ready) <= set(course.passed):
        return f"rollout of {course.release} done: {count(course.ready)} in {len(course.waves)} waves passed the gate"
    stopped_in = _wave_of(len(course.passed), course.waves)
    why = "; ".join(course.reasons) or "a wave did not come to a verdict"
    restored, stuck = _restored(course)
    parts = [
        f"canary of {course.release} stopped in wave {stopped_in} of {len(course.waves)} by the gate: {why}",
        f"touched: {_names(course.touched)}",
        *(f"restored to {version}: {_names(hosts)}" for version, hosts in sorted(restored.items())),
    ]
    if stuck:
        parts.append(
            "NOT restored: "
            + ", ".join(f"{host} ({reason})" for host, reason in sorted(stuck.items()))
        )
    return "; ".join([*parts, f"untouched: {count(set(course.ready) - set(course.touched))}"])


def _restored(course: Course) -> tuple[dict[str, list[str]], dict[str, str]]:
    """Hosts by the release they attest to be back on, and those that do not."""
    restored: dict[str, list[str]] = {}
    stuck: dict[str, str] = {}
    for host in course.touched:
        wanted = course.before.get(host, {}).get("releases", {}).get("current")
        look = course.after.get(host)
        reasons = gate.unwell(look)
        found = None if look is None or reasons else looks.running(look)
        if reasons:
            stuck[host] = reasons[0]
        elif found != wanted:
            stuck[host] = f"it runs release {found}, wanted {wanted}"
        else:
            restored.setdefault(str(wanted), []).append(host)
    return restored, stuck


def _wave_of(passed: int, sizes: Sequence[int]) -> int:
    """Number of the wave after `passed` hosts."""
    number = 1
    for size in sizes:
        if passed < size:
            return number
        passed -= size
        number += 1
    return len(sizes)


def _names(hosts: Iterable[str]) -> str:
    return ", ".join(sorted(hosts)) or "none"
