"""The inventory plugin tcmicro.fleet.state, as Ansible runs it, and the page that shows it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from datetime import datetime, timedelta

import pytest
from ansible_collections.tcmicro.fleet.plugins.plugin_utils import fleet_state

from tests.plugins.looks import UNREACHABLE, look, upgraded
from tests.plugins.resolved import resolved

LOOKS = {
    "shop-web-01": upgraded(transaction={"state": "pending"}),
    "shop-web-02": look(),
    "shop-web-03": look(status__drift=["eth0: ingress is gone"]),
    "shop-db-01": UNREACHABLE,
}


def seen(path, looks, ago=60):
    """A state file of some seconds ago."""
    moment = datetime.now(fleet_state.UTC) - timedelta(seconds=ago)
    at = moment.strftime(fleet_state.TIME)
    document = fleet_state.record(looks, looks, seen=at, before={}, known=looks)
    path.write_text(json.dumps(document))


@pytest.fixture
def fleet(root, tmp_path):
    """A copy of the dynamic example."""
    return shutil.copytree(root / "inventories/example-dynamic", tmp_path / "example-dynamic")


@pytest.fixture
def asked(root, fleet):
    """What ansible-inventory says, or why it does not."""

    def ask(*words):
        argv = ["ansible-inventory", "-i", str(fleet), *words]
        return subprocess.run(
            argv, cwd=root, capture_output=True, text=True, timeout=60, check=False
        )

    return ask


def members(done, group):
    return json.loads(done.stdout).get(f"tcmicro_state_{group}", {}).get("hosts", [])


def test_page_shows_the_groups_that_are_made(root, fleet, asked):
    seen(fleet / ".fleet-state.json", LOOKS)
    shown = re.search(r"--graph\n(.*?)```", (root / "docs/inventory.md").read_text(), re.DOTALL)[1]
    assert asked("--graph").stdout == shown


def test_host_tells_what_was_seen_of_it(fleet, asked):
    seen(fleet / ".fleet-state.json", LOOKS)
    state = json.loads(asked("--host", "shop-web-01").stdout)["tcmicro_state"]
    assert state["release"] == "0.1.1"
    assert state["pending"] == ["release"]
    assert not state["stale"]


def test_what_is_too_old_is_stale_and_nothing_else(fleet, asked):
    seen(fleet / ".fleet-state.json", LOOKS, ago=901)
    done = asked("--list")
    assert members(done, "stale") == [
        "shop-db-01",
        "shop-db-02",
        "shop-web-01",
        "shop-web-02",
        "shop-web-03",
    ]
    assert "tcmicro_state_release" not in done.stdout


def test_without_a_file_every_host_is_stale_and_people_are_told(asked):
    done = asked("--list")
    assert len(members(done, "stale")) == 5
    assert "run status.yml" in " ".join(done.stderr.split())


def test_host_that_only_the_file_names_is_not_added(fleet, asked):
    seen(fleet / ".fleet-state.json", {**LOOKS, "retired-01": look()})
    assert "retired-01" not in asked("--list").stdout


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        (".fleet-state.json", "{", "not JSON"),
        (".fleet-state.json", '{"kind": "Status"}', "remove it and run status.yml"),
        ("3_tcmicro_state.yml", "plugin: tcmicro.fleet.state\nmax_age: 0", "seconds from 1"),
        ("3_tcmicro_state.yml", "plugin: tcmicro.fleet.state\nhosts_group: agents", "'agents'"),
    ],
)
def test_what_cannot_be_used_is_refused(fleet, asked, name, text, says):
    (fleet / name).write_text(text)
    done = asked("--list")
    assert done.returncode != 0
    assert says in " ".join(done.stderr.split())


def test_source_that_comes_before_the_hosts_is_refused(fleet, asked):
    (fleet / "3_tcmicro_state.yml").rename(fleet / "0_tcmicro_state.yml")
    done = asked("--list")
    assert done.returncode != 0
    assert "before this one" in " ".join(done.stderr.split())


def test_policies_are_not_made_of_what_was_seen(root, fleet):
    """A bundle would change with every status run."""
    before = resolved(root, fleet)
    seen(fleet / ".fleet-state.json", LOOKS)
    assert resolved(root, fleet) == before
    assert not [group for host in before.values() for group in host["groups"] if "state" in group]
