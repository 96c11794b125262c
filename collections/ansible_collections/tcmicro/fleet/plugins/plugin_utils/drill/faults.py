# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The faults that a drill can plant: where, how much of it, and which level of the gates is to find it. Pure."""

from __future__ import annotations

from dataclasses import dataclass

PROCESS, DISK, ARTIFACT, POLICY = "process", "disk", "artifact", "policy"
ON_HOST = (PROCESS, DISK)  # what is planted there before the rollout


class DrillRefused(Exception):
    """The drill must not begin; the message has every reason."""


@dataclass(frozen=True)
class Fault:
    """`how`: in the process of the agent under test, on the host's disk, in the artifact or by a policy. `amount` is what is
    planted unless told otherwise, from `least` to `most`, in `unit`; "" for a fault that has no measure."""

    name: str
    how: str
    what: str
    level: str
    amount: int = 0
    unit: str = ""
    least: int = 0
    most: int = 0

    @property
    def of_policy(self) -> bool:
        """Whether the policies are rolled out, and not a release."""
        return self.how == POLICY


CATALOGUE = {
    fault.name: fault
    for fault in (
        Fault("crash_loop", PROCESS, "the agent dies after each start", "L0", 4, "s", 1, 600),
        Fault("memory_leak", PROCESS, "the agent takes more memory", "L1", 16, "MB/s", 1, 64),
        Fault("cpu_burn", PROCESS, "the agent computes", "L1", 60, "% of a core", 5, 100),
        Fault("added_latency", PROCESS, "packets are held", "L2", 500, "us", 1, 1000),
        Fault(
            "packet_drop", PROCESS, "packets that come in are dropped", "L2 or L3", 20, "%", 1, 60
        ),
        Fault("exporter_dead", PROCESS, "no samples and no metrics", "L1"),
        Fault("verifier_reject", ARTIFACT, "the kernel refuses the programs", "L0"),
        Fault("disk_full", DISK, "no space in /var/lib/tcmicro", "L0"),
        Fault("ssh_cut", POLICY, "a policy that lets nothing in or out", "L0 or L4"),
        Fault("peers_only", POLICY, "a policy that lets no host of the fleet in", "L3 or L4"),
    )
}


def find(name: object) -> Fault:
    """Raises DrillRefused with all there are."""
    if name in (None, ""):
        raise DrillRefused(f"which fault? Name one: -e drill_fault=NAME; there are {_known()}")
    fault = CATALOGUE.get(str(name))
    if fault is None:
        raise DrillRefused(f"drill_fault: {name!r} is no fault; there are {_known()}")
    return fault


def _known() -> str:
    return ", ".join(CATALOGUE)
