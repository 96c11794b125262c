"""Policies of the inventory in waves over real hosts, shares of live traffic first.

A good one is kept by everybody; one that cuts a live connection is stopped in its first wave and taken back.
"""

from __future__ import annotations

import json
import shutil

import pytest

from tools.demo.begin import DATABASE

pytestmark = pytest.mark.lab
BAKE_S = 12
STAGED = ("-e", "stage=4", "-e", f"bake={BAKE_S}", "-e", "waves=[50,100]")
ASK = (
    "systemd-run -q --collect --unit {unit} python3 -c 'import socket, time\n"
    "for _ in range({seconds} * 10):\n"
    '  try: socket.create_connection(("{address}", {port}), 1).close()\n'
    "  except OSError: pass\n"
    "  time.sleep(0.1)'"
)


@pytest.fixture
def fleet(reach, scene):
    """All hosts under the inventory's policies, as they are again afterwards."""
    reach(4)
    former = policies_of(scene)
    yield former
    if policies_of(scene) != former:
        outcome = scene.plays.run("policy")
        assert outcome.code == 0, outcome.failure()
    assert digests(policies_of(scene)) == digests(former)


@pytest.fixture
def changed(scene, tmp_path):
    """The inventory's policies with one text replaced by another."""

    def change(file, old, new):
        policies = shutil.copytree(scene.root / "inventories/lab/policies", tmp_path / "policies")
        text = (policies / file).read_text()
        assert old in text
        (policies / file).write_text(text.replace(old, new))
        return ("-e", f"tcmicro_policies={policies}")

    return change


def policies_of(scene):
    states = {host: scene.lab.agent(host, "status") for host in scene.lab.hosts()}
    return {host: (state["policy"], state["transaction"]) for host, state in states.items()}


def digests(policies):
    return {host: policy["digest"] for host, (policy, _) in policies.items()}


def roll_out(scene, *words):
    return scene.plays.run("canary", "-e", "policy=true", *STAGED, *words)


def record(scene):
    """What the journal says of the last rollout."""
    found = max(scene.plays.rollouts.glob("*/record.json"), key=lambda path: path.stat().st_mtime)
    return json.loads(found.read_text())


def test_good_policy_judges_shares_first_and_is_kept_by_everybody(fleet, scene, changed):
    web, db = scene.lab.members("web")[0], scene.lab.members("db")
    words = changed("db.yml", "[tcp/5432]", "[tcp/5432, tcp/5433]")
    for host in db:
        ask = {"address": scene.lab.address(host), "port": DATABASE, "seconds": 1800}
        unit = f"tcmicro-ask-{host}"
        assert scene.lab.ssh(web, ASK.format(unit=unit, **ask)).ok
    try:
        with scene.traffic.stream(web, scene.lab.address(db[0]), DATABASE) as stream:
            outcome = roll_out(scene, *words, "-e", "share=[20,60]", "-e", "share_for=6")
    finally:
        scene.lab.ssh(web, "systemctl stop 'tcmicro-ask-*'")
    assert outcome.code == 0, outcome.failure()
    assert stream.flow.intact, str(stream.flow)
    for host, (policy, change) in policies_of(scene).items():
        assert (policy["state"], change["state"]) == ("committed", "confirmed"), host
        assert policy["staged"] is None, host
        assert (policy["digest"] != fleet[host][0]["digest"]) == (host in db), host
    rounds = [found for wave in record(scene)["waves"] for found in wave["rounds"]]
    assert {found["share"] for found in rounds} == {0, 20, 60}
    assert all(found["outcome"] == "pass" for found in rounds)
    shared = [found["flows"] for found in rounds if found["share"]]
    assert min(shared) > 0


def test_policies_go_back_to_those_before_them(fleet, scene, changed):
    outcome = roll_out(scene, *changed("web.yml", "8000-8080", "8000-8081"))
    assert outcome.code == 0, outcome.failure()
    assert digests(policies_of(scene)) != digests(fleet)
    web = scene.lab.members("web")
    words = ("-e", "policy=true", "--limit", ",".join(web))
    outcome = scene.plays.run("rollback", *words)
    assert outcome.code == 0, outcome.failure()
    assert digests(policies_of(scene)) == digests(fleet)
    again = scene.plays.run("rollback", *words)
    assert again.code == 0, again.failure()
    assert digests(policies_of(scene)) == digests(fleet)


def test_policy_that_cuts_a_live_connection_is_stopped_in_its_first_wave(fleet, scene, changed):
    """It makes no new flow meanwhile, so comparing cannot see it."""
    web, db = scene.lab.members("web")[0], scene.lab.members("db")
    words = changed("db.yml", "groups: [web]", "groups: [client]")
    addresses = [scene.lab.address(host) for host in db]
    with (
        scene.traffic.stream(web, addresses[0], DATABASE),
        scene.traffic.stream(web, addresses[1], DATABASE),
    ):
        outcome = roll_out(scene, *words)
    assert outcome.code != 0
    said = " ".join(outcome.output.split())
    assert "stopped in wave 1 of" in said
    assert "live flows cut off" in said
    assert digests(policies_of(scene)) == digests(fleet)
    assert record(scene)["state"] == "rolled_back"
    assert [scene.traffic.ask(web, address, DATABASE) for address in addresses] == ["answered"] * 2
