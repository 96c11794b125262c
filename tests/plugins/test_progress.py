"""What happens in a rollout, by the results of its tasks, and how that is shown."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
import yaml
from ansible import constants
from ansible_collections.tcmicro.fleet.plugins.callback import rollout
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.progress.events import (
    FAILED,
    OK,
    UNREACHABLE,
    Heard,
    Progress,
)
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.progress.view import Mood, lines

OPENED = {"id": "r1", "kind": "release", "subject": "0.1.1", "resume": False}
PLANNED = {
    "plan": {"waves": [{"number": 1, "stage": "50 %", "hosts": ["h1", "h2"], "controls": []}]},
    "missing": {"h9": "no contact"},
}
HELD = {"next": "go", "why": "", "wave": 1, "waves": 2, "hosts": ["h2", "h1"]}
JUDGE = {"next": "judge", "wait": True, "failures": {}}


def step(name, host="h1", **answer):
    return Heard("rollout_journal", {"step": name}, host, OK, answer)


def act(host, outcome=OK, action="agent_release", **result):
    return Heard(action, {}, host, outcome, result)


def gate(outcome, *reasons, early=False):
    args = {"only_invariants": True} if early else {}
    return Heard("gate", args, "h1", OK, {"outcome": outcome, "reasons": list(reasons)})


def pause(seconds):
    return Heard("pause", {}, "h1", OK, {"delta": seconds})


BEGUN = (step("open", **OPENED), step("plan", assign=[{"host": "h1"}], bake=60))
IN_WAVE = (*BEGUN, step("hold", **HELD), step("change", next="judge"))


def told(*heard):
    """Events that all of it makes."""
    progress = Progress()
    return [event for each in heard for event in progress.events(each)]


def after(*heard):
    """Events of what comes after the wave was begun, without the rollout."""
    progress = Progress()
    for each in IN_WAVE:
        list(progress.events(each))
    found = [event for each in heard for event in progress.events(each)]
    assert {event.pop("rollout") for event in found} <= {"r1"}
    return found


def shown(*events):
    return [line.text for event in events for line in lines(event)]


def test_other_playbooks_make_no_event():
    others = (act("h1", changed=True), act("h2", FAILED, msg="x"), gate("fail"), pause(5))
    assert told(*others, Heard("debug", {}, "h1", OK, {"msg": "x"})) == []


def test_rollout_begins_with_what_and_with_whom():
    planning = Heard("rollout_plan", {}, "h1", OK, PLANNED)
    begin, plan = told(BEGUN[0], planning, BEGUN[1])
    assert begin == {
        **{"event": "begin", "rollout": "r1", "resumed": False},
        **{"kind": "release", "subject": "0.1.1"},
    }
    assert plan["waves"] == [{"wave": 1, "stage": "50 %", "hosts": ["h1", "h2"]}]
    assert (plan["bake_s"], plan["hosts"]) == (60, ["h1"])
    assert shown(begin, plan) == [
        "[rollout] r1: release 0.1.1",
        "[rollout] 1 host in 1 wave, 60 s of bake each",
        "[rollout] left out: h9: no contact",
    ]


def test_one_that_is_gone_on_with_has_no_plan_to_show():
    begin, plan = told(step("open", **{**OPENED, "resume": True}), BEGUN[1])
    assert shown(begin, plan) == [
        "[rollout] r1: release 0.1.1, gone on with",
        "[rollout] 1 host, 60 s of bake each",
    ]


def test_hosts_are_counted_and_those_that_are_not_well_named():
    found = after(
        act("h1", changed=True),
        act("h2", UNREACHABLE, msg="Failed to connect to the host via ssh: timed out"),
        step("changed", next="judge", wait=True, failures={"h2": "x"}),
    )
    assert [event["outcome"] for event in found[:2]] == ["changed", "unreachable"]
    assert shown(*found) == [
        "[wave 1] apply: h2 unreachable: no contact: timed out",
        "[wave 1] apply: 1 changed, 1 unreachable",
    ]
    assert lines(found[-1])[0].mood is Mood.UNWELL


def test_bake_is_counted_down_by_the_pauses_it_is_made_of():
    found = after(step("changed", **JUDGE), gate("pass", early=True), pause(15), pause(45))
    assert found[1:] == [
        {"event": "bake", "wave": 1, "left_s": 60},
        {"event": "bake", "wave": 1, "left_s": 45},
    ]


@pytest.mark.parametrize("more", [{"wait": False}, {"failures": {"h1": "x"}}])
def test_no_bake_is_told_where_none_is_waited_for(more):
    assert [e["event"] for e in after(step("changed", **{**JUDGE, **more}))] == ["changed"]


def test_look_that_ends_the_bake_is_told_and_the_countdown_ends():
    found = after(step("changed", **JUDGE), gate("fail", "h1: 3 restarts", early=True), pause(15))
    assert [event["event"] for event in found] == ["changed", "bake", "gate"]
    assert shown(found[-1]) == [
        "[wave 1] gate: fail, the bake ends early",
        "[wave 1] gate:   h1: 3 restarts",
    ]


def test_open_verdict_bakes_once_more():
    found = after(step("changed", **JUDGE), gate("inconclusive"), step("judged", **JUDGE))
    assert [event["event"] for event in found] == ["changed", "bake", "gate", "bake"]
    assert shown(found[2]) == ["[wave 1] gate: inconclusive"]


def test_wave_that_passes_and_one_that_does_not():
    keeping = step("judged", next="keep")
    kept = [*after(keeping, act("h1"), step("kept", next="passed"))]
    assert [(e["event"], e.get("act")) for e in kept] == [("host", "keep"), ("end_of_wave", None)]
    assert shown(*kept) == ["[wave 1] passed"]
    for end in (
        step("judged", next="stop"),
        step("kept", next="stop"),
        step("staged", next="stop"),
    ):
        [stopped] = after(end)
        assert (stopped["event"], stopped["passed"]) == ("end_of_wave", False)


ROUND = {"compare": ["h1"], "share": 0, "seconds": 60}


def test_policies_are_tried_in_rounds_with_growing_shares():
    opened = step("open", **{**OPENED, "kind": "policy", "subject": ""})
    larger = step("staged", **{**ROUND, "next": "again", "share": 5, "seconds": 30})
    found = told(
        *(opened, BEGUN[1], step("hold", **HELD), step("change", next="judge", **ROUND)),
        *(pause(60), gate("pass"), larger, pause(15), pause(15), gate("pass")),
        step("staged", **{**ROUND, "next": "judge", "share": 5}),
    )
    assert shown(*found)[3:] == [
        "[wave 1] staged policies are compared: 60 s",
        "[wave 1] gate of the staged policies: pass",
        "[wave 1] staged policies judge 5 % of the new flows: 30 s",
        "[wave 1] bake: 15 s left",
        "[wave 1] gate of the staged policies: pass",
    ]


def test_a_release_is_not_compared_first():
    assert after(step("change", next="judge", **ROUND)) == []


def test_staging_does_not_count_as_a_change():
    staged = act("h1", action="policy_stage", changed=True)
    tried = step("staged", **{**ROUND, "next": "again"})
    found = after(
        *(tried, staged, gate("pass"), step("staged", next="judge"), step("changed", **JUDGE))
    )
    assert [event.get("act") for event in found[:2]] == [None, "stage"]
    assert "[wave 1] gate of the staged policies: pass" in shown(*found)
    [changed] = [event for event in found if event["event"] == "changed"]
    assert changed["changed"] == 0
    assert shown(changed) == ["[wave 1] apply: nothing to change"]


def test_abort_in_front_of_a_wave_says_who_wanted_it():
    held = step("hold", **{**HELD, "next": "abort", "why": "abort by ops: incident"})
    assert shown(*told(*BEGUN, held))[-1] == "[wave 1] stopped: abort by ops: incident"


def test_the_way_back_and_the_end_name_no_wave():
    assign = [{"host": "h2", "batch": 1}, {"host": "h1", "batch": 2}]
    finish = step(
        "finish", state="back", passed=False, summary="canary stopped; untouched: 2 hosts"
    )
    found = after(step("back", assign=assign), act("h2", changed=True), finish)
    assert [(e["event"], e.get("act"), e.get("wave")) for e in found] == [
        *(("back", None, None), ("host", "back", None), ("end", None, None)),
    ]
    assert shown(*found) == [
        "[rollout] 2 hosts go back: h2, h1",
        "[rollout] back: canary stopped; untouched: 2 hosts",
    ]
    assert after(step("back", assign=[])) == []


def test_step_that_is_refused_is_an_error():
    refused = Heard("rollout_journal", {"step": "open"}, "h1", FAILED, {"msg": "another\none"})
    [error] = told(refused)
    assert shown(error) == ["[rollout] open: another"]


def test_many_hosts_are_not_all_named():
    [wave] = told(step("hold", **{**HELD, "hosts": [f"h{n:03}" for n in range(50)]}))
    [line] = shown(wave)
    assert line.startswith("[wave 1] of 2: 50 hosts: h000, h001")
    assert line.endswith("h019 and 30 more")


@pytest.fixture
def callback():
    """The plugin with its documented options, and the lines it showed."""
    options = yaml.safe_load(rollout.DOCUMENTATION)["options"]
    constants.config.initialize_plugin_configuration_definitions("callback", "rollout", options)
    plugin = rollout.CallbackModule()
    plugin._load_name = "rollout"
    said: list[str] = []
    plugin._display = SimpleNamespace(
        display=lambda text, color=None: said.append(text), warning=said.append
    )

    def start(**variables):
        manager = SimpleNamespace(extra_vars=variables)
        plugin.v2_playbook_on_play_start(
            SimpleNamespace(get_variable_manager=lambda: manager, name="x")
        )
        return plugin, said

    return start


def result(action, args=None, **answer):
    task = SimpleNamespace(action=action, args=args or {})
    return SimpleNamespace(task=task, host=SimpleNamespace(get_name=lambda: "h1"), result=answer)


def test_plugin_shows_lines_and_writes_events(callback, tmp_path):
    path = tmp_path / "events.jsonl"
    plugin, said = callback(rollout_events=str(path))
    plugin.v2_runner_on_ok(result("tcmicro.fleet.rollout_journal", {"step": "open"}, **OPENED))
    plugin.v2_runner_on_failed(result("other.fleet.policy", msg="not ours"), ignore_errors=True)
    plugin.v2_runner_on_unreachable(result("tcmicro.fleet.policy", msg="via ssh: gone"))
    assert said == [
        "[rollout] r1: release 0.1.1",
        "[rollout] again: h1 unreachable: no contact: gone",
    ]
    found = [json.loads(line) for line in path.read_text().splitlines()]
    assert [(event["schema"], event["event"]) for event in found] == [(1, "begin"), (1, "host")]


def test_plugin_without_view_and_file_is_silent(callback):
    plugin, said = callback(rollout_view=False)
    plugin.v2_runner_on_ok(result("tcmicro.fleet.rollout_journal", {"step": "open"}, **OPENED))
    assert said == []


def test_file_that_cannot_be_written_is_said_once(callback, tmp_path):
    plugin, said = callback(rollout_events=str(tmp_path), rollout_view=False)
    for _ in range(2):
        plugin.v2_runner_on_ok(result("tcmicro.fleet.rollout_journal", {"step": "open"}, **OPENED))
    assert len(said) == 1
    assert "Is a directory" in said[0]
