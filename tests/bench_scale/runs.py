"""The lab's hosts, and what is done to the first so many of them: costs as `bench_fleet` takes them."""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.bench.measure import MeasurementError
from tests.bench_fleet.runs import ROOT, Cost, Fleet
from tools.demo.lab import Lab

RELEASES = ("0.1.0", "0.1.1")


@dataclass
class ScaleFleet(Fleet):
    """Hosts change between two releases, so that each run is a change."""

    _runs: int = field(default=0)

    def status(self) -> Cost:
        return self._run("ansible-playbook", "playbooks/status.yml", "-e", "tcmicro_state_file=''")

    def release(self) -> Cost:
        """Shipped, verified, unpacked, started, confirmed; to 0.1.1 and back in turns."""
        self._runs += 1
        words = (
            *("-e", f"tcmicro_agent_release={RELEASES[self._runs % 2]}"),
            *("-e", "tcmicro_agent_change_release=true"),
        )
        return self._run("ansible-playbook", "playbooks/deploy.yml", *words)


def prepared(lab: Lab) -> list[str]:
    """Hosts of the lab that run an agent; and the artifacts that are needed are there."""
    for release in RELEASES:
        if not list((ROOT / "build").glob(f"tcmicro-{release}-*.tar.gz")):
            raise MeasurementError(f"no artifact of {release}: make artifact VERSION={release}")
    there = [host for host in lab.hosts() if lab.ssh(host, "systemctl is-active tcmicro-agent").ok]
    if not there:
        raise MeasurementError(
            "no host of the lab runs an agent: make lab-up HOSTS=40, then playbooks/deploy.yml"
        )
    return there
