"""Fake hosts by the hundreds: the real plays and actions over the hosts of files of `tests/rollout`. Neither ssh nor a
real host is in it: what is taken is Ansible, the controller's part of us, and the Python of the fakes.
"""

from __future__ import annotations

import resource
import time
from pathlib import Path

from tests.bench.measure import MeasurementError
from tests.bench_fleet.runs import Cost
from tests.rollout import fleet as rollout

LIMIT_S = 3600


class FakeFleet:
    """So many hosts, under policies that are others in every push."""

    def __init__(self, folder: Path, size: int, forks: int) -> None:
        self._fleet = rollout.Fleet(folder, [f"h{number:04}" for number in range(1, size + 1)])
        self._forks = forks
        self._port = 20_000

    def status(self) -> Cost:
        return self._run("status", "-e", "tcmicro_state_file=''")

    def push(self) -> Cost:
        self._port += 1
        self._fleet.policies(self._port)
        return self._run("policy")

    def _run(self, playbook: str, *words: str) -> Cost:
        begun, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
        process = self._fleet.start(playbook, *words, "--forks", str(self._forks))
        try:
            code = process.wait(LIMIT_S)
        finally:
            self._fleet.end()
        wall_s = time.monotonic() - begun
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        if code:
            self._fleet.log.seek(0)
            raise MeasurementError(f"{playbook} over fakes: {self._fleet.log.read()[-600:]}")
        cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        return Cost(wall_s, cpu_s)
