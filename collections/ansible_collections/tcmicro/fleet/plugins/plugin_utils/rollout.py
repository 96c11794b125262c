# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A rollout before its first and after its last wave: may it start, and how did it end. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.tcmicro.fleet.plugins.plugin_utils import gate, looks, tables, waves


class RolloutError(Exception):
    """The rollout is refused; no host was touched."""


@dataclass(frozen=True)
class Plan:
    """Who takes part, in waves of which size, and who does not."""

    ready: tuple[str, ...]
    missing: Mapping[str, str]
    waves: tuple[int, ...]

    def wave_of(self) -> dict[str, int]:
        """Number of each host's wave, from 1; waves take the hosts in order of their names."""
        numbers = [number for number, size in enumerate(self.waves, 1) for _ in range(size)]
        return dict(zip(self.ready, numbers, strict=True))

    def table(self, release: str, bake: int) -> list[str]:
        """The plan for people."""
        numbers = self.wave_of()
        head = f"release {release}: {count(self.ready)} in {len(self.waves)} waves, {bake} s of bake each"
        lines = [
            f"wave {number}: {', '.join(host for host in self.ready if numbers[host] == number)}"
            for number in range(1, len(self.waves) + 1)
        ]
        left_out = [f"left out: {host}: {reason}" for host, reason in sorted(self.missing.items())]
        return [head, *lines, *left_out]


def whole_number(name: str, value: Any, *, least: int) -> int:
    """A number that may have come as text from the command line or a survey."""
    if isinstance(value, bool) or not str(value).isdigit() or int(value) < least:
        raise RolloutError(
            f"{name}: {value!r} is not allowed; allowed is a whole number from {least}"
        )
    return int(value)


def plan(
    seen: Mapping[str, Mapping[str, Any]], hosts: Iterable[str], stages: Any, allow_missing: int
) -> Plan:
    """Plan over the hosts that are well; refuse when more than `allow_missing` are not."""
    wanted = {host: seen.get(host) for host in hosts}
    missing = {
        host: "; ".join(reasons) for host, info in wanted.items() if (reasons := unready(info))
    }
    if len(missing) > allow_missing:
        named = "\n".join(f"  {host}: {reason}" for host, reason in sorted(missing.items()))
        raise RolloutError(
            f"{count(missing)} cannot take part, {allow_missing} may be missing; nothing was changed:\n{named}\n"
            f"Mend them, or go on without them: -e allow_missing={len(missing)}"
        )
    ready = tuple(sorted(set(wanted) - set(missing)))
    if not ready:
        raise RolloutError("no host can take part; nothing was changed")
    return Plan(ready, missing, tuple(waves.plan(len(ready), stages)))


def unready(info: Mapping[str, Any] | None) -> list[str]:
    """Why a host cannot take part."""
    reasons = gate.unwell(info)
    if not reasons and info is not None and not info.get("releases", {}).get("current"):
        reasons.append("no release is current there: run playbooks/deploy.yml")
    return reasons


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


def count(hosts: Sequence[str] | set[str] | Mapping[str, Any]) -> str:
    return f"{len(hosts)} host{'' if len(hosts) == 1 else 's'}"
