"""What a status run keeps, and the groups that follow from it."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from ansible_collections.tcmicro.fleet.plugins.plugin_utils import fleet_state
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.fleet_state import StateError, groups

from tests.plugins.looks import UNREACHABLE, look

SEEN = "2026-12-01T08:00:00Z"
NOW = fleet_state.moment(SEEN)
HOUR = timedelta(hours=1)


def groups_of(found, now=NOW):
    """Without their common prefix."""
    names = groups(fleet_state.observed(found, NOW), now, 900)
    return [name.removeprefix("tcmicro_state_") for name in names]


def recorded(looks, **more):
    known = more.pop("known", looks)
    return fleet_state.record(
        looks, list(looks), **{"seen": SEEN, "before": {}, "known": known, **more}
    )


def test_host_that_is_well_is_grouped_by_what_it_runs():
    assert groups_of(look()) == ["release_0_1_0", "generation_3", "policy_ab12", "mode_protect"]


def test_digest_is_cut_as_everywhere():
    assert "policy_" + "c" * 12 in groups_of(look(status__policy__digest="c" * 64))


@pytest.mark.parametrize(
    ("changes", "group"),
    [
        ({"status__drift": ["eth0: ingress is gone"]}, "drift"),
        ({"status__transaction": {"state": "pending"}}, "pending"),
        ({"status__transaction": {"state": "leased"}}, "pending"),
        ({"transaction": {"state": "pending"}}, "pending"),
        ({"service__active": False, "service__state": "failed"}, "unwell"),
        ({"status": None, "problem": "the agent is not installed"}, "unwell"),
        ({"failed": True, "msg": "no python"}, "unwell"),
    ],
)
def test_what_is_amiss_has_a_group(changes, group):
    assert group in groups_of(look(**changes))
    assert group not in groups_of(look())


@pytest.mark.parametrize("state", ["confirmed", "reverted", None])
def test_change_that_is_over_is_not_pending(state):
    assert "pending" not in groups_of(look(transaction=state and {"state": state}))


def test_host_without_policy_is_in_no_group_of_policies():
    none = {"generation": 0, "digest": "", "state": "none"}
    assert groups_of(look(status__policy=none)) == ["release_0_1_0"]


def test_command_that_answers_for_a_stopped_agent_is_not_taken_for_it():
    assert not [n for n in groups_of(look(status__agent__release=None)) if n.startswith("release")]


def test_nothing_else_is_said_of_a_host_that_was_not_reached():
    assert groups_of(UNREACHABLE) == ["unreachable"]
    assert groups_of(None) == ["unreachable"]


@pytest.mark.parametrize("now", [NOW + HOUR, NOW - HOUR], ids=["old", "from the future"])
def test_look_that_is_not_young_says_nothing(now):
    assert groups_of(look(status__drift=["x"]), now) == ["stale"]
    assert groups(None, now, 900) == ["tcmicro_state_stale"]


def test_release_makes_a_name_that_ansible_takes():
    assert "release_1_0_0_rc_1_" in groups_of(look(status__agent__release="1.0.0-rc(1)"))


# --- the document


def test_document_is_read_as_it_was_written():
    seen = {"web1": look(status__drift=["x"]), "db1": UNREACHABLE}
    states = fleet_state.parse(json.loads(json.dumps(recorded(seen))))
    assert states == {name: fleet_state.observed(found, NOW) for name, found in seen.items()}


def test_run_over_some_hosts_keeps_what_is_known_of_the_others():
    before = recorded({"web1": look(), "db1": look(), "gone": look()})
    later = "2026-12-01T09:00:00Z"
    after = recorded({"web1": look()}, seen=later, before=before, known=["web1", "db1"])
    assert {name: row["seen"] for name, row in after["hosts"].items()} == {
        "db1": SEEN,
        "web1": later,
    }


def test_all_faults_of_a_document_are_said_at_once():
    document = recorded({"web1": look()})
    document["hosts"]["web1"].update(seen="yesterday", generation=-1, rings=[])
    with pytest.raises(StateError) as refusal:
        fleet_state.parse(document | {"schema": 2})
    for words in (
        "schema: 2",
        "hosts.web1.seen: 'yesterday' is no time",
        "generation: -1",
        "rings",
    ):
        assert words in str(refusal.value)


def test_another_document_is_refused():
    with pytest.raises(StateError, match="status.yml wrote"):
        fleet_state.parse({"kind": "Status", "schema": 1, "hosts": {}})
