"""Every example inventory is one to start from: it is read, policies resolve and hold, rollouts can be planned."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.planner.hosts import VARIABLES

from tests.plugins.looks import look
from tests.plugins.planner.fleets import NOON, STAGES, plan, request
from tests.plugins.resolved import resolved

ROOT = Path(__file__).resolve().parents[3]
EXAMPLES = sorted(path.name for path in (ROOT / "inventories").glob("example*"))


def said(*argv):
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr or done.stdout
    return done.stdout


def variables_of(name):
    """What rollouts read of every host; every source must be one that Ansible can read."""
    text = said("ansible-inventory", "-i", f"inventories/{name}", "--list")
    found = json.loads(text, object_hook=lambda item: item.get("__ansible_unsafe", item))
    return {
        host: {key: own[key] for key in VARIABLES if key in own}
        for host, own in found["_meta"]["hostvars"].items()
    }


def test_there_are_a_small_fleet_one_of_sites_and_a_dynamic_one():
    assert EXAMPLES == ["example", "example-dynamic", "example-sites"]


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_host_has_addresses_and_a_bundle_with_rules(name):
    hosts = resolved(ROOT, f"inventories/{name}")
    assert hosts
    assert set(hosts) <= set(variables_of(name))
    assert all(host["addresses"] and host["rules"] for host in hosts.values())


@pytest.mark.parametrize("name", EXAMPLES)
def test_its_policies_pass_their_own_tests(name):
    assert ", 0 failed" in said("tc-micro", "policy", "test", "-i", f"inventories/{name}")


@pytest.mark.parametrize("name", ["example-dynamic", "example-sites"])
def test_canaries_come_first_and_partners_never_in_one_wave(name):
    variables = variables_of(name)
    names = sorted(resolved(ROOT, f"inventories/{name}"))
    args = {"release": "0.1.1", "hosts": names, "waves": STAGES, "allow_missing": 0}
    asked = request.read({**args, "accept_blind": "all", "seed": 7, "now": None}, NOON)
    waves = [wave.hosts for wave in plan(asked, dict.fromkeys(names, look()), variables).waves]
    for wave in waves:
        kinds = [host.kind for host in wave if host.ha_group or host.ring == "infra"]
        assert len(kinds) == len(set(kinds))
    assert "canary" in {host.ring for host in waves[0]}
    assert sorted(host.name for wave in waves for host in wave) == names
