# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A plan as a value and as the document that the rollout, its judge and people read. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ansible_collections.tcmicro.fleet.plugins.plugin_utils.planner.blind import Seen
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.planner.hosts import Host


@dataclass(frozen=True)
class PlannedWave:
    """`exposure`: how many hosts have the change after it."""

    number: int
    stage: str
    hosts: tuple[Host, ...]
    controls: tuple[Host, ...]
    exposure: int

    def document(self) -> dict[str, Any]:
        return {
            "number": self.number,
            "stage": self.stage,
            "hosts": [host.name for host in self.hosts],
            "controls": [host.name for host in self.controls],
            "exposure": self.exposure,
        }


@dataclass(frozen=True)
class Plan:
    """Who is changed in which wave. `refusals`: why it must not start like this."""

    seed: int
    stages: tuple[str, ...]
    waves: tuple[PlannedWave, ...]
    holdback: tuple[str, ...]
    missing: Mapping[str, str]
    coverage: tuple[Seen, ...]
    blind: tuple[str, ...]
    refusals: tuple[str, ...]

    @property
    def ready(self) -> list[str]:
        """Hosts that take part, in the order they are changed in."""
        return [host.name for wave in self.waves for host in wave.hosts]

    def wave_of(self) -> dict[str, int]:
        """Number of each host's wave, from 1."""
        return {host.name: wave.number for wave in self.waves for host in wave.hosts}

    def document(self) -> dict[str, Any]:
        return {
            "apiVersion": "tcmicro/v1",
            "kind": "RolloutPlan",
            "seed": self.seed,
            "fleet": len(self.ready),
            "stages": list(self.stages),
            "waves": [wave.document() for wave in self.waves],
            "holdback": list(self.holdback),
            "missing": dict(self.missing),
            "coverage": [
                {"class": seen.class_name, "hosts": seen.hosts, "first_wave": seen.first_wave}
                for seen in self.coverage
            ],
            "blind": list(self.blind),
        }
