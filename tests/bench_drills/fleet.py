"""The lab under drills: hosts that talk to each other, playbooks with a journal of their own, and who answers whom."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.bench.measure import MeasurementError
from tools.demo.lab import Lab
from tools.process import crash

ROOT = Path(__file__).resolve().parents[2]
TALK = Path(__file__).with_name("talk.py")
PLACE, UNIT, PORT = "/run/tcmicro-bench", "tcmicro-bench-talk", 7070
LIMIT_S = 1500
PATIENCE_S = 120  # of hosts until a policy is confirmed; all of them share the machine
POLICY = """\
apiVersion: tcmicro/v1
kind: Policy
metadata:
  name: talk
spec:
  mode: protect
  applyTo:
    groups: [tcmicro]
  default: {ingress: deny, egress: allow}
  ingress:
    - id: talk
      from:
        - groups: [tcmicro]
        - cidrs: [10.77.0.1/32]
      ports: [tcp/7070]
"""
CUT = """\
apiVersion: tcmicro/v1
kind: Policy
metadata:
  name: cut
spec:
  tier: quarantine
  mode: protect
  applyTo:
    groups: [tcmicro]
  default: {ingress: deny, egress: deny}
  ingress:
    - id: nobody-in
      action: deny
      from:
        - entity: any
      ports: [any]
  egress:
    - id: nobody-out
      action: deny
      to:
        - entity: any
      ports: [any]
"""


class Fleet:
    """`folder`: for policies, the journal and logs of this run; `hosts`: of the lab, with an agent."""

    def __init__(self, folder: Path, hosts: Sequence[str] = ()) -> None:
        self.lab = Lab(ROOT)
        self.folder = folder
        self.policies = folder / "policies"
        shutil.copytree(ROOT / "inventories/lab/policies", self.policies)
        (self.policies / "talk.yml").write_text(POLICY)
        self.hosts = sorted(hosts) or self.lab.hosts()
        self.addresses = {host: self.lab.address(host) for host in self.hosts}

    def status(self, host: str) -> dict[str, Any]:
        found: dict[str, Any] = self.lab.agent(host, "status")
        return found

    # --- playbooks

    def argv(self, playbook: str, *words: str) -> list[str]:
        known = {
            "tcmicro_rollouts_dir": str(self.folder / "rollouts"),
            "tcmicro_bundles_dir": str(self.folder / "bundles"),
            "tcmicro_policies": str(self.policies),
            "tcmicro_policy_confirm_within": PATIENCE_S,
        }
        whom = ["--limit", ",".join(self.hosts), "-e", json.dumps(known)]
        return ["ansible-playbook", f"playbooks/{playbook}.yml", *whom, *words]

    def play(self, playbook: str, *words: str) -> int:
        """Exit code of a playbook; what it said is in the folder."""
        with (self.folder / f"{playbook}.log").open("a") as log:
            return subprocess.run(
                self.argv(playbook, *words),
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                timeout=LIMIT_S,
                check=False,
            ).returncode

    def make_live(self) -> None:
        if self.play("policy"):
            raise MeasurementError(f"policy.yml failed: {self.folder}/policy.log")

    # --- hosts that talk

    def talk(self) -> None:
        """Every host to every other one, until `quiet`."""
        for host in self.hosts:
            peers = " ".join(self.addresses[other] for other in self.hosts if other != host)
            unit = f"systemd-run -q --collect --unit {UNIT} python3 {PLACE}/talk.py {PORT} {peers}"
            command = f"mkdir -p {PLACE} && cat > {PLACE}/talk.py && {unit}"
            reply = self.lab.ssh(host, command, send=TALK.read_text())
            if not reply.ok:
                raise MeasurementError(f"{host}: {reply.err}")

    def quiet(self) -> None:
        for host in self.hosts:
            self.lab.ssh(host, f"systemctl -q stop {UNIT}; rm -rf {PLACE}")

    # --- a policy that cuts everybody off, and a controller that is gone

    def cut_everybody(self, within_s: int, until: Any) -> None:
        """Begin to make the policy live everywhere; when `until` holds the controller is ended at once."""
        cut = self.folder / "cut"
        shutil.copytree(self.policies, cut)
        (cut / "cut.yml").write_text(CUT)
        words = {"tcmicro_policies": str(cut), "tcmicro_policy_confirm_within": within_s}
        with (self.folder / "cut.log").open("w") as log:
            controller = subprocess.Popen(
                self.argv("policy", "-e", json.dumps(words), "--forks", str(len(self.hosts))),
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            try:
                until(lambda: controller.poll() is None)
            finally:
                if controller.poll() is None:
                    crash(controller.pid)
                controller.wait()


class Prober:
    """Asks each host for an echo, from where the controller stands, a few times a second."""

    def __init__(self, fleet: Fleet) -> None:
        words = ["nsenter", f"--net=/run/netns/{fleet.lab.namespace()}", "python3", "-u"]
        program = Path(__file__).with_name("prober.py")
        targets = [f"{host}={fleet.addresses[host]}" for host in fleet.hosts]
        self._argv = [*words, str(program), str(PORT), *targets]

    def __enter__(self) -> Prober:
        self._process = subprocess.Popen(self._argv, stdout=subprocess.PIPE, text=True)
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    def changes(self) -> Sequence[tuple[float, str, bool]]:
        """A host that began or ceased to answer: when, who, whether it answers. Empty after a second without one."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise MeasurementError("the prober ended")
        when, host, answers = line.split()
        return [] if host == "-" else [(float(when), host, answers == "True")]
