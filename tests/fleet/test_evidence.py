"""A policy is kept only if more than ssh works under it, on real hosts and by the controller's own play."""

from __future__ import annotations

import shutil
import time

import pytest

from tools.demo.begin import DATABASE
from tools.demo.lockout import POLICIES, victim_of

pytestmark = pytest.mark.lab
WITHIN_S = 25


@pytest.fixture
def victim(reach, scene):
    """A database host, and the digest of what it enforces; the same again afterwards."""
    reach(4)
    host = victim_of(scene)
    former = policy_of(scene, host)["digest"]
    yield host, former
    assert policy_of(scene, host)["digest"] == former
    web = scene.lab.members("web")[0]
    assert scene.traffic.ask(web, scene.lab.address(host), DATABASE) == "answered"


def policy_of(scene, host):
    return scene.lab.agent(host, "status")["policy"]


def push(scene, host, policies, **variables):
    chosen = {"tcmicro_policies": policies, "tcmicro_policy_confirm_within": WITHIN_S, **variables}
    words = [word for name, value in chosen.items() for word in ("-e", f"{name}={value}")]
    return scene.plays.run("policy", "--limit", host, *words)


def test_deny_all_is_not_confirmed_though_the_failsafe_keeps_ssh_open(victim, scene):
    host, _ = victim
    outcome = push(scene, host, scene.root / POLICIES)
    said = " ".join(outcome.output.split())
    assert outcome.code != 0
    assert "it lets nobody in" in said
    assert "the kernel restored" in said


def test_a_lease_that_nobody_renews_lapses(victim, scene, tmp_path):
    host, former = victim
    policies = shutil.copytree(scene.root / "inventories/lab/policies", tmp_path / "policies")
    text = (policies / "db.yml").read_text()
    (policies / "db.yml").write_text(text.replace("[tcp/5432]", "[tcp/5432, tcp/5433]"))
    outcome = push(scene, host, policies, tcmicro_policy_lease_s=20)
    assert outcome.code == 0, outcome.failure()
    assert scene.lab.agent(host, "txn", "show")["policy"]["state"] in ("leased", "reverted")
    deadline = time.monotonic() + 60
    while policy_of(scene, host)["digest"] != former:
        assert time.monotonic() < deadline, "the lease does not lapse"
        time.sleep(1)
