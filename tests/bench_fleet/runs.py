"""One run of Ansible over the lab: what it takes on the controller, without any connection that is open already."""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.bench.measure import MeasurementError

ROOT = Path(__file__).resolve().parents[2]
LIMIT_S = 1800
# ssh starts the lab's proxy by it, and bash would read ~/.bashrc each time
PLAIN = {"SHELL": "/bin/sh"}
POLICY = """\
apiVersion: tcmicro/v1
kind: Policy
metadata:
  name: bench
spec:
  mode: protect
  applyTo:
    groups: [tcmicro]
  default: {{ingress: deny, egress: allow}}
  ingress:
    - id: changing
      from:
        - groups: [tcmicro]
      ports: [tcp/{port}]
"""


@dataclass(frozen=True)
class Cost:
    """Wall time, and CPU of Ansible and its ssh, in seconds. What hosts do is in neither but in the wall time."""

    wall_s: float
    cpu_s: float


def told(bench: str, what: str, run: Callable[[], Cost]) -> Cost:
    """The cost of a run, with a line for who waits."""
    cost = run()
    print(f"{bench}: {what} {cost.wall_s:.2f} s", file=sys.stderr, flush=True)
    return cost


@dataclass
class Fleet:
    """Hosts of the lab, and policies that are others in every run."""

    hosts: Sequence[str]
    forks: int
    folder: Path
    port: int = field(default_factory=lambda: 20_000 + int(time.time()) % 20_000)

    def ping(self) -> Cost:
        return self._run("ansible", "tcmicro", "-m", "ansible.builtin.ping")

    def push(self) -> Cost:
        """Every host gets another policy, and keeps it on evidence from new connections."""
        return self._run("ansible-playbook", "playbooks/policy.yml", *self._changed())

    def wave(self) -> Cost:
        """Of a rollout to all its first wave: everybody but the controls is compared, changed, judged against
        them and kept; with as little waiting as there can be."""
        asked = {"policy": True, "waves": [100], "bake": 0, "stage": 0, "accept_blind": "all"}
        first = {"stop_after": 1, "tcmicro_ha_group": ""}  # partners would be waves of their own
        more = {**asked, **first, "tcmicro_rollouts_dir": self._journal()}
        words = ("-e", json.dumps(more), *self._changed())
        return self._run("ansible-playbook", "playbooks/canary.yml", *words)

    def _journal(self) -> str:
        """A folder for the journal of one rollout, which stays open after its first wave."""
        return tempfile.mkdtemp(prefix="rollouts-", dir=self.folder)

    def _changed(self) -> Sequence[str]:
        folder = self.folder / "policies"
        if not folder.exists():
            shutil.copytree(ROOT / "inventories/lab/policies", folder)
        self.port += 1
        (folder / "bench.yml").write_text(POLICY.format(port=self.port))
        bundles = str(self.folder / "bundles")
        known = {"tcmicro_policies": str(folder), "tcmicro_bundles_dir": bundles}
        return "-e", json.dumps({**known, "tcmicro_policy_confirm_within": 120})

    def _run(self, *words: str) -> Cost:
        """Ends with the command; MeasurementError with its last words where that failed."""
        argv = [*words, "--forks", str(self.forks), "--limit", ",".join(self.hosts)]
        with tempfile.TemporaryDirectory(prefix="tcm-ssh-") as sockets:
            environment = {**os.environ, **PLAIN, "ANSIBLE_SSH_CONTROL_PATH_DIR": sockets}
            begun, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
            done = _done(argv, environment)
            wall_s = time.monotonic() - begun
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
        if done.returncode:
            raise MeasurementError(f"{' '.join(words[:2])}: {_last_words(done.stdout)}")
        cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        return Cost(wall_s, cpu_s)


def _done(argv: Sequence[str], environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            argv,
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise MeasurementError(f"{argv[0]} {argv[1]}: not done within {LIMIT_S} s") from None


def _last_words(output: str) -> str:
    found = [line for line in output.splitlines() if "FAILED!" in line or "ERROR" in line]
    return " / ".join((found or output.splitlines())[-3:])[-600:]
