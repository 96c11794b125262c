# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How many hosts each wave of a rollout changes. Pure.

Stages are cumulative: [5, 25, 100] means that 5 %, then 25 %, then all hosts have the change. Ansible's own
`serial: [5%, 25%, 100%]` is not that: it adds the shares up.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from ansible_collections.tcmicro.fleet.plugins.plugin_utils.planner.errors import RolloutError

DEFAULT = (5, 10, 25, 50, 100)
FIRST_WAVE = 3  # hosts, where the fleet has three times as many
ALLOWED = "a list of ascending percentages like [5, 25, 100], or of counts like [1 host, 5 hosts, 100]; the last is 100"


class WaveError(RolloutError):
    """The stages do not make sense."""


@dataclass(frozen=True)
class Stage:
    """A share of the fleet, in percent, or a number of hosts."""

    value: int
    percent: bool

    def hosts(self, fleet: int) -> int:
        """Hosts that have the change after this stage, rounded up."""
        return -(-self.value * fleet // 100) if self.percent else min(self.value, fleet)

    def __str__(self) -> str:
        return f"{self.value} %" if self.percent else f"{self.value} hosts"


@dataclass(frozen=True)
class Step:
    """A stage that changes hosts: `end` of them have the change after it."""

    stage: str
    end: int


def steps(fleet: int, stages: Any = DEFAULT) -> list[Step]:
    """What each stage comes to in a fleet of this size, without those that change nobody."""
    found: list[Step] = []
    for stage in parse(stages):
        end = stage.hosts(fleet)
        if not found:
            end = max(end, min(FIRST_WAVE, fleet // 3))
        if end > (found[-1].end if found else 0):
            found.append(Step(str(stage), end))
    return found


def plan(fleet: int, stages: Any = DEFAULT) -> list[int]:
    """Sizes of the waves, in order; together the whole fleet."""
    ends = [step.end for step in steps(fleet, stages)]
    return [end - before for before, end in zip([0, *ends], ends, strict=False)]


def parse(stages: Any) -> list[Stage]:
    """Stages as given on the command line (text) or in YAML (a list)."""
    if isinstance(stages, str):
        stages = _from_text(stages)
    if not isinstance(stages, (list, tuple)) or not stages:
        raise WaveError(f"waves: {stages!r} is not a list; allowed is {ALLOWED}")
    parsed = [_stage(index, item) for index, item in enumerate(stages)]
    for before, after in zip(parsed, parsed[1:], strict=False):
        if before.percent == after.percent and before.value >= after.value:
            raise WaveError(f"waves: {after} follows {before}; allowed is {ALLOWED}")
    if parsed[-1] != Stage(100, percent=True):
        raise WaveError(
            f"waves: ends at {parsed[-1]}; the last must be 100. To leave hosts out, use --limit"
        )
    return parsed


def _from_text(text: str) -> list[str]:
    return [part.strip(" '\"") for part in text.strip().strip("[]").split(",")]


def _stage(index: int, item: Any) -> Stage:
    match = re.fullmatch(r"(\d+) ?(%|hosts?)?", "" if isinstance(item, bool) else str(item))
    where = f"waves[{index}]: {item!r}"
    if not match:
        raise WaveError(
            f"{where} is not a percentage (1-100) nor a count of hosts; allowed is {ALLOWED}"
        )
    stage = Stage(int(match[1]), percent=match[2] in (None, "%"))
    if stage.value == 0 or (stage.percent and stage.value > 100):
        raise WaveError(f"{where} is not from 1 to 100 %; allowed is {ALLOWED}")
    return stage
