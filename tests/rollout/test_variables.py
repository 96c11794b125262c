"""Variables that nothing reads stop a play before it begins, and are in nobody's way back."""

from __future__ import annotations

import json

import pytest

from tests.rollout.fleet import NEW, ROOT, Fleet

HOSTS = ["h1", "h2"]


@pytest.fixture
def fleet(tmp_path):
    made = Fleet(tmp_path, HOSTS)
    yield made
    made.end()


def say(fleet, host, **variables):
    """Set variables of a host in the inventory."""
    path = fleet.folder / "inventory.json"
    document = json.loads(path.read_text())
    document["all"]["children"]["tcmicro"]["hosts"][host].update(variables)
    path.write_text(json.dumps(document))


def test_all_of_them_are_named_and_nothing_is_begun(fleet):
    say(fleet, "h1", tcmicro_rng="canary")
    say(fleet, "h2", tcmicro_lables={"tier": "db"}, other_variable=1)
    done = fleet.canary("-e", "tcmicro_gate_bakes=5", "--limit", "h1")
    assert done.code == 2
    assert done.says("tcmicro_gate_bakes (h1, h2): unknown; did you mean tcmicro_gate_bake?")
    assert done.says("tcmicro_lables (h2): unknown; did you mean tcmicro_labels?")
    assert done.says("tcmicro_rng (h1): unknown; did you mean tcmicro_ring?")
    assert not done.says("other_variable")
    assert fleet.touched() == []
    assert not fleet.rollouts.exists()


def test_going_back_is_only_warned(fleet):
    assert fleet.canary().code == 0
    say(fleet, "h1", tcmicro_rng="canary")
    done = fleet.run("rollback", "-e", f"rollout={fleet.rollout()}")
    assert done.says("tcmicro_rng (h1): unknown; did you mean tcmicro_ring?")
    assert NEW not in fleet.releases().values()


def test_what_a_play_before_left_on_hosts_is_known(fleet):
    """All in one run, as a playbook of somebody's own imports them."""
    site = fleet.folder / "site.yml"
    names = ("status", "canary", "plan")
    plays = [{"ansible.builtin.import_playbook": str(ROOT / f"playbooks/{n}.yml")} for n in names]
    site.write_text(json.dumps(plays))
    fleet.command = lambda _: [Fleet.command(fleet, "status")[0], str(site)]
    done = fleet.canary("-e", f"tcmicro_state_file={fleet.folder}/state.json")
    assert done.code == 0, done.output
    assert set(fleet.releases().values()) == {NEW}
