# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who is changed in which wave. Pure.

In no wave there are two hosts of an HA group, or two of ring infra of a kind. Where that leaves hosts over, more waves
follow at the end; none is ever larger than its stage allows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ansible_collections.tcmicro.fleet.plugins.plugin_utils.planner.errors import RolloutError
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.planner.hosts import (
    CANARY,
    INFRA,
    NORMAL,
    Host,
)
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.planner.picking import Batch, Picker
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.planner.stages import Step

LEAST_HOLDBACK, HOLDBACK_PERCENT = 5, 5
MOST_WAVES = 100
EARLY = 25  # percent of the fleet: with this step one infra host of each kind is changed


@dataclass(frozen=True)
class Wave:
    """Hosts that change at once, and the share of the fleet that has the change afterwards."""

    stage: str
    hosts: tuple[Host, ...]


@dataclass(frozen=True)
class Selection:
    """All waves in order, every host in one of them; with `held` the last wave is the holdback."""

    waves: tuple[Wave, ...]
    held: bool


def select(hosts: Sequence[Host], steps: Sequence[Step], seed: int) -> Selection:
    """Deal the hosts out. Raises RolloutError where that would take more than MOST_WAVES."""
    picker = Picker(hosts, seed)
    waves = _early_waves(picker, steps[:-1], len(hosts))
    held = _hold_back(picker, len(hosts))
    share = f"{100 * (len(hosts) - len(held)) // len(hosts)} %"
    while picker.left:
        if len(waves) >= MOST_WAVES:
            raise RolloutError(_too_many(list(picker.left.values())))
        batch = Batch(len(picker.left))
        picker.fill(batch, (INFRA, CANARY, NORMAL))
        waves.append(Wave(share, tuple(batch.hosts)))
    last = [Wave("100 %", held)] if held else []
    return Selection((*waves, *last), bool(held))


def _early_waves(picker: Picker, steps: Sequence[Step], fleet: int) -> list[Wave]:
    """A wave for each step but the last; infrastructure comes with the step that reaches a quarter."""
    waves: list[Wave] = []
    done, quarter = 0, False
    for step in steps:
        batch = Batch(step.end - done)
        first_quarter = not quarter and step.end * 100 >= EARLY * fleet
        picker.fill(batch, (INFRA, CANARY, NORMAL) if first_quarter else (CANARY, NORMAL))
        quarter = quarter or first_quarter
        done += len(batch.hosts)
        if batch.hosts:
            waves.append(Wave(step.stage, tuple(batch.hosts)))
    return waves


def _hold_back(picker: Picker, fleet: int) -> tuple[Host, ...]:
    """Hosts that wait to the end as controls; none where they would be more than half of those that are left."""
    size = max(LEAST_HOLDBACK, -(-HOLDBACK_PERCENT * fleet // 100))
    if 2 * size > len(picker.left):
        return ()
    batch = Batch(size)
    picker.fill(batch, (CANARY, NORMAL), covered=set())
    return tuple(batch.hosts)


def _too_many(left: Sequence[Host]) -> str:
    """Why the waves do not end."""
    names = [host.ha_group or host.kind for host in left]
    name = max(sorted(set(names)), key=names.count)
    hosts = [host for host in left if name in (host.ha_group, host.kind)]
    variable = "tcmicro_ha_group" if hosts[0].ha_group else "tcmicro_ring infra, role"
    return (
        f"{variable} {name!r}: {len(hosts)} hosts would be left after {MOST_WAVES} waves, as each wave changes one of "
        f"them only; allowed are as many as there are waves. Is {hosts[0].name} in the right group?"
    )
