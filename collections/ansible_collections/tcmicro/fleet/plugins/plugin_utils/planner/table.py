# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A plan for people, as lines. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from ansible_collections.tcmicro.fleet.plugins.plugin_utils.planner.blind import some
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.planner.document import (
    Plan,
    PlannedWave,
)
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.planner.hosts import UNKNOWN, Host
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.tables import count

MOST_NAMES = 20


def table(plan: Plan, release: str, bake: int) -> list[str]:
    """Waves with their hosts, classes, failure domains and controls; then what the plan does not see."""
    waves = f"{len(plan.waves)} wave{'s' * (len(plan.waves) != 1)}"
    return [
        f"release {release}: {count(plan.ready)} in {waves}, {bake} s of bake each, seed {plan.seed}",
        *(line for wave in plan.waves for line in _wave(wave, plan)),
        *(f"cannot detect: {line}" for line in plan.blind),
        *(f"left out: {host}: {reason}" for host, reason in sorted(plan.missing.items())),
        *(f"refused: {reason}" for reason in plan.refusals),
    ]


def _wave(wave: PlannedWave, plan: Plan) -> Iterator[str]:
    fleet = len(plan.ready)
    share = f"{wave.exposure} of {fleet} ({100 * wave.exposure // fleet} %)"
    held = ", held back as controls until then" * (wave.hosts[-1].name in plan.holdback)
    yield f"wave {wave.number}: {_names(wave.hosts)}"
    yield f"    stage {wave.stage}: {count(wave.hosts)}{held}; exposure afterwards {share}"
    yield f"    classes {_counted(host.class_name for host in wave.hosts)}"
    yield f"    failure domains {_counted(host.domain or UNKNOWN for host in wave.hosts)}"
    yield f"    controls {len(wave.controls)}" + f": {_names(wave.controls)}" * bool(wave.controls)


def _names(hosts: Sequence[Host]) -> str:
    named = ", ".join(sorted(host.name for host in hosts)[:MOST_NAMES])
    return named + f" and {len(hosts) - MOST_NAMES} more" * (len(hosts) > MOST_NAMES)


def _counted(names: Iterable[str]) -> str:
    numbers = Counter(names)
    ordered = sorted(numbers, key=lambda name: (-numbers[name], name))
    return some([f"{name} {numbers[name]}" for name in ordered])
