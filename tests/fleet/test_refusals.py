"""Bad input on a fleet that is deployed: a clear message, an exit code, and nothing changed."""

from __future__ import annotations

import json
import shutil

import pytest

from tools.demo.releases import NEXT

pytestmark = pytest.mark.lab

POLICY = """\
apiVersion: tcmicro/v1
kind: Policy
metadata: {{name: broken}}
spec:
  applyTo: {{groups: [db]}}
  mode: protect
  default: {{ingress: deny, egress: allow}}
  ingress:
    - {rule}
"""


@pytest.mark.parametrize(
    ("rule", "says"),
    [
        ("{id: x, form: [{groups: [web]}], ports: [any]}", ["db.yml:9", "form"]),
        ("{id: x, from: [{groups: [wbe]}], ports: [any]}", ["db.yml:9", "wbe"]),
        (
            "{id: x, from: [{groups: [web]}], ports: [tcp/70000]}",
            ["db.yml:9", "70000 is not a port"],
        ),
        ("{id: x, from: [{cidrs: [10.77.0.0/40]}], ports: [any]}", ["db.yml:9", "10.77.0.0/40"]),
    ],
    ids=["wrong field", "unknown group", "impossible port", "impossible CIDR"],
)
def test_policy_with_a_fault(refused, tmp_path, rule, says):
    (tmp_path / "db.yml").write_text(POLICY.format(rule=rule))
    refused("policy", "-e", f"tcmicro_policies={tmp_path}", says=says)


def test_artifact_with_a_wrong_digest(refused, scene, tmp_path):
    artifact = scene.artifacts[NEXT]
    for path in (artifact, artifact.with_name(f"{artifact.name}.sha256")):
        shutil.copy(path, tmp_path)
    with (tmp_path / artifact.name).open("ab") as damaged:
        damaged.write(b"x")
    words = ("-e", f"release={NEXT}", "-e", f"tcmicro_artifacts_dir={tmp_path}")
    refused("canary", *words, says=["sha256 is", "nothing was sent"])


def test_release_that_is_not_there(refused):
    refused("canary", "-e", "release=9.9.9", says=["release 9.9.9 is not there", "make artifact"])


@pytest.mark.parametrize(
    ("waves", "says"),
    [
        ("[0, 100]", "'0' is not from 1 to 100 %"),
        ("[some, 100]", "'some' is not a percentage"),
        ("[50, 120]", "'120' is not from 1 to 100 %"),
        ("[50, 20, 100]", "20 % follows 50 %"),
        ("[5, 50]", "the last must be 100"),
    ],
)
def test_impossible_waves(refused, waves, says):
    refused("canary", "-e", f"release={NEXT}", "-e", f"waves='{waves}'", says=[says])


@pytest.mark.parametrize("bake", ["-1", "soon"])
def test_impossible_bake(refused, bake):
    refused("canary", "-e", f"release={NEXT}", "-e", f"bake={bake}", says=["bake:", "whole number"])


def test_host_without_room_is_named_and_the_others_go_on(reach, scene):
    reach(4)
    poor, *others = scene.lab.hosts()
    extra = {
        "tcmicro_agent_release": scene.lab.agent(poor, "status")["release"],
        "tcmicro_agent_min_disk_mb": f"{{{{ 99999999 if inventory_hostname == '{poor}' else 200 }}}}",
    }
    outcome = scene.plays.run("deploy", "-e", json.dumps(extra))
    assert outcome.code != 0
    assert outcome.recap[poor]["failed"] == 1
    assert not any(outcome.recap[name]["failed"] for name in others)
    assert "disk" in outcome.output
    assert f"NOT deployed, see above: {poor}" in " ".join(outcome.output.split())


def test_agent_refuses_who_is_not_root(reach, scene):
    reach(4)
    host = scene.lab.hosts()[0]
    reply = scene.lab.ssh(host, "runuser -u nobody -- tc-micro policy revert")
    assert reply.code != 0
    assert "root" in reply.err


def test_lab_that_is_up_is_not_made_anew(unchanged, scene):
    outcome = scene.plays.lab("present", "-e", "lab_hosts=2")
    assert outcome.code != 0
    assert "lab-down" in outcome.output
