# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A rollout before its first wave: may it start, and who is changed when. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ansible_collections.tcmicro.fleet.plugins.plugin_utils import gate
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.planner import stages as cumulative
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.tables import count


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
    return Plan(ready, missing, tuple(cumulative.plan(len(ready), stages)))


def unready(info: Mapping[str, Any] | None) -> list[str]:
    """Why a host cannot take part."""
    reasons = gate.unwell(info)
    if not reasons and info is not None and not info.get("releases", {}).get("current"):
        reasons.append("no release is current there: run playbooks/deploy.yml")
    return reasons
