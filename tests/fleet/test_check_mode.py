"""What a play foresees with --check is what it then does, task by task on every host, and once more it does nothing."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections import Counter
from dataclasses import dataclass

import pytest

from tcmicro_agent.signing import Role
from tests.fleet.test_lab import Lab
from tools import artifact, keys, signature
from tools.demo.releases import FIRST, NEXT

pytestmark = pytest.mark.lab

HOSTS = 2
TASK = re.compile(r"^(?:TASK|RUNNING HANDLER) \[(.*?)\] \*", re.MULTILINE)
CHANGED = re.compile(r"^changed: \[([^\] ]+)", re.MULTILINE)
DIFF = re.compile(r"^[+-](?!\+\+|--).*", re.MULTILINE)
# One after the other on the same hosts, from clean ones to clean ones: a play, and what it is told.
CHANGES = {
    "first deploy": ("deploy", {}),
    "first policy": ("policy", {"tcmicro_policies": "first"}),
    "other configuration": ("deploy", {"tcmicro_agent_sweep_s": 61}),
    "other policy": ("policy", {"tcmicro_policies": "other"}),
    "other release": (
        "deploy",
        {
            "tcmicro_agent_sweep_s": 61,
            "tcmicro_agent_release": NEXT,
            "tcmicro_agent_change_release": True,
        },
    ),
    "rollback": ("rollback", {}),
    "uninstall": ("uninstall", {}),
}


POLICY = """\
apiVersion: tcmicro/v1
kind: Policy
metadata: {{name: fleet}}
spec:
  mode: protect
  applyTo: {{groups: [tcmicro]}}
  default: {{ingress: deny, egress: allow}}
  ingress:
    - id: from-controller
      from: [{{cidrs: [10.77.0.1/32, "fd77::1/128"]}}]
      ports: [{ports}]
"""
PORTS = {"first": "tcp/22, tcp/9931", "other": "tcp/22, tcp/9931, icmp"}


@dataclass(frozen=True)
class Done:
    """How a play ended: what it changed as hosts and tasks, and the lines of its diffs by task."""

    code: int
    output: str

    @property
    def tasks(self):
        parts = TASK.split(self.output.partition("PLAY RECAP")[0])
        return list(zip(parts[1::2], parts[2::2], strict=True))

    @property
    def changed(self):
        return {(host, task) for task, text in self.tasks for host in CHANGED.findall(text)}

    @property
    def diffs(self):
        return {task: found for task, text in self.tasks if (found := Counter(DIFF.findall(text)))}


def sign(root, version):
    """A release and its signature, as `make artifact` leaves them."""
    keys.make(root / ".keys")
    signature.sign(artifact.build(root, version), keys.private(root / ".keys", Role.RELEASE))


@pytest.fixture(scope="module")
def fleet(root):
    """Two hosts of a lab of their own, and policies for them."""
    home = root / "build" / "check-test"
    if (home / ".lab" / "lab.json").exists():
        pytest.fail(f"{home}: a lab of an earlier run is up; take it down with lab_state=absent")
    shutil.rmtree(home, ignore_errors=True)
    for version in (FIRST, NEXT):
        sign(root, version)
    lab = Lab(root, home)
    shutil.copytree(root / "inventories/lab/group_vars", home / "group_vars")
    for name, ports in PORTS.items():
        (home / name).mkdir()
        (home / name / "fleet.yml").write_text(POLICY.format(ports=ports))
    code, text, _ = lab.play("present", hosts=HOSTS)
    assert code == 0, text
    yield home
    code, text, _ = lab.play("absent")
    assert code == 0, text
    shutil.rmtree(home)


@pytest.fixture
def play(root, fleet):
    def run(name, extra, *words):
        known = {
            "lab_keys": str(root / ".keys"),
            "tcmicro_policy_confirm_within": 120,
            **extra,
        }
        if "tcmicro_policies" in extra:
            known["tcmicro_policies"] = str(fleet / extra["tcmicro_policies"])
        argv = ["ansible-playbook", f"playbooks/{name}.yml", "-i", str(fleet / "hosts.yml")]
        argv += ["-e", json.dumps(known), "--diff", *words]
        done = subprocess.run(
            argv, cwd=root, capture_output=True, text=True, timeout=600, check=False
        )
        return Done(done.returncode, done.stdout)

    return run


@pytest.mark.parametrize("change", CHANGES)
def test_check_foresees_what_is_done_and_a_second_run_does_nothing(play, change):
    name, extra = CHANGES[change]
    foreseen, done = play(name, extra, "--check"), play(name, extra)
    assert (foreseen.code, done.code) == (0, 0), foreseen.output + done.output
    assert len({host for host, _ in done.changed}) == HOSTS
    assert foreseen.changed == done.changed
    if name != "uninstall":  # its diffs list directories, and a service that stops takes files away
        assert foreseen.diffs == done.diffs
    again = play(name, extra)
    assert (again.code, again.changed) == (0, set()), again.output


def test_on_clean_hosts_a_policy_is_refused_with_check_as_without(play):
    first = {"tcmicro_policies": "first"}
    foreseen, done = play("policy", first, "--check"), play("policy", first)
    assert foreseen.code == done.code != 0
    assert foreseen.changed == done.changed == set()
    assert "run playbooks/deploy.yml" in done.output


def test_look_at_the_fleet_changes_nothing_also_where_it_is_kept(play, fleet):
    assert play("status", {}).changed == set()
    rows = json.loads((fleet / ".fleet-state.json").read_text())["hosts"]
    assert {row["problem"] for row in rows.values()} == {"the agent is not installed"}
