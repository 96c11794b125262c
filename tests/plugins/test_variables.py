"""Variables that nothing reads: which are told, in which words, and that everything that is read is known."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from ansible_collections.tcmicro.fleet.plugins.plugin_utils import variables
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.planner import hosts
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.variables import PREFIX, faults, report

from tcmicro_agent.policy.inventory_facts import PLACES
from tests.awx.inputs import names_in, pairs, reads, specs_of
from tests.conftest import ROOT
from tools.collection.stage import FLEET

ROLES = [path for path in sorted((ROOT / "roles").iterdir()) if not path.name.startswith("lab")]
PLAYBOOKS = [path for path in (ROOT / "playbooks").glob("*.yml") if not path.name.startswith("lab")]
OF_HOSTS = re.compile(r"per_host\(hostvars, '(\w+)'\)")
OPTIONS = {name for role in ROLES for name in specs_of(role.name)}


def test_what_is_known_is_no_fault():
    named = {"h1": ["tcmicro_agent_mode", "tcmicro_labels", "tcmicro_seen", "ansible_host", "own"]}
    assert faults(named, OPTIONS) == []


def test_one_line_for_each_with_its_hosts_and_the_nearest_name():
    named = {host: ["tcmicro_agnet_mode", "tcmicro_zebra"] for host in ("h3", "h1")}
    assert faults({**named, "h2": ["tcmicro_lables"]}, OPTIONS) == [
        "tcmicro_agnet_mode (h1, h3): unknown; did you mean tcmicro_agent_mode?",
        "tcmicro_lables (h2): unknown; did you mean tcmicro_labels?",
        "tcmicro_zebra (h1, h3): unknown",
    ]


def test_of_many_hosts_some_are_named():
    named = {f"h{number}": ["tcmicro_zebra"] for number in range(9)}
    assert faults(named, ()) == ["tcmicro_zebra (h0, h1, h2 and 6 more): unknown"]


def test_what_was_read_once_says_what_to_do_now():
    told = faults({"h1": ["tcmicro_was"]}, (), {"tcmicro_was": "is tcmicro_site since 9.0.0"})
    assert told == ["tcmicro_was (h1): is tcmicro_site since 9.0.0"]


def test_nearest_name_is_one_that_people_set():
    assert faults({"h1": ["tcmicro_seem"]}, ()) == ["tcmicro_seem (h1): unknown"]


def test_all_faults_are_one_message():
    text = report(["tcmicro_a (h1): unknown", "tcmicro_b (h1): unknown"])
    assert text.splitlines()[1:] == ["  tcmicro_a (h1): unknown", "  tcmicro_b (h1): unknown"]


def test_readme_names_every_setting():
    text = (ROOT / FLEET / "README.md").read_text()
    assert [name for name in sorted(variables.SETTINGS) if f"`{name}`" not in text] == []


def test_no_retired_name_is_still_read():
    assert not set(variables.RETIRED) & (variables.SETTINGS | OPTIONS)


# --- the lists are about the plays and roles that there are ---


def ours(names):
    return {name for name in names if name.startswith(PREFIX)}


def files():
    rooms = [ROOT / "playbooks", *(role / "tasks" for role in ROLES)]
    found = (path for room in rooms for path in room.rglob("*.yml"))
    return [path for path in found if not path.name.startswith("lab")]


def test_facts_are_what_plays_register_or_set():
    made = set()
    for path in files():
        for key, value in pairs(yaml.safe_load(path.read_text())):
            made |= {value} if key == "register" else set()
            made |= set(value) if key == "ansible.builtin.set_fact" else set()
    assert ours(made) | {"tcmicro_state"} == variables.FACTS


def test_settings_are_what_is_read_and_is_no_option():
    inventory = (
        set(hosts.VARIABLES) | set(PLACES.values()) | {"tcmicro_addresses", "tcmicro_labels"}
    )
    in_plays = {name for path in PLAYBOOKS for name in reads(f"playbooks/{path.name}").free}
    in_plays |= {name for path in files() for name in OF_HOSTS.findall(path.read_text())}
    in_defaults = {name for role in ROLES for name in reads_of_defaults(role)}
    read = ours(inventory | in_plays | in_defaults)
    assert read - OPTIONS - variables.FACTS == variables.SETTINGS


def reads_of_defaults(role: Path):
    """Names in defaults of a role that the role itself does not define."""
    own = {path: yaml.safe_load(path.read_text()) for path in role.glob("*/main.yml")}
    defined = {n for path, doc in own.items() if isinstance(doc, dict) for n in doc}
    text = (role / "defaults/main.yml").read_text()
    return names_in(text) - defined


@pytest.mark.parametrize(
    "path", [p for p in PLAYBOOKS if p.name != "take_back.yml"], ids=lambda p: p.stem
)
def test_every_playbook_begins_with_it_and_what_goes_back_only_warns(path):
    play = yaml.safe_load(path.read_text())[0]
    task = (play.get("pre_tasks") or play["tasks"])[0]
    given = task["tcmicro.fleet.variables"] or {}
    assert task["run_once"]
    lenient = path.stem in ("pull_status", "rollback", "status", "uninstall")
    assert given == ({"refuse": False} if lenient else {})
