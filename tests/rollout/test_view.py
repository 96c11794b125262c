"""Where a rollout is, said while it runs: lines for people, events for machines."""

from __future__ import annotations

import json

from tests.rollout.fleet import OLD


def events(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def view(outcome):
    lines = outcome.output.splitlines()
    return [line for line in lines if line.startswith(("[rollout]", "[wave"))]


def test_every_wave_is_a_block_and_every_event_a_line(fleet):
    path = fleet.folder / "events.jsonl"
    outcome = fleet.canary("-e", f"rollout_events={path}", "-e", "bake=2")
    assert outcome.code == 0
    rollout = fleet.rollout()
    found = events(path)
    assert {event["rollout"] for event in found} == {rollout}
    assert [event["time"] for event in found] == sorted(event["time"] for event in found)
    block = ["wave", "host", "host", "changed", "bake", "gate", "host", "host", "end_of_wave"]
    assert [event["event"] for event in found] == ["begin", "plan", *block, *block, "end"]
    assert view(outcome) == [
        f"[rollout] {rollout}: release 0.1.1",
        "[rollout] 4 hosts in 2 waves, 2 s of bake each",
        "[wave 1] of 2: 2 hosts: h1, h2",
        "[wave 1] apply: 2 changed",
        "[wave 1] bake: 2 s left",
        "[wave 1] gate: pass",
        "[wave 1] passed",
        "[wave 2] of 2: 2 hosts: h3, h4",
        "[wave 2] apply: 2 changed",
        "[wave 2] bake: 2 s left",
        "[wave 2] gate: pass",
        "[wave 2] passed",
        f"[rollout] done: {found[-1]['text']}",
    ]
    assert "\x1b" not in outcome.output


def test_who_failed_and_why_is_said_at_once_and_who_goes_back(fleet):
    fleet.script("h2", apply="fail")
    path = fleet.folder / "events.jsonl"
    outcome = fleet.canary(TCMICRO_ROLLOUT_EVENTS=str(path), ANSIBLE_DISPLAY_OK_HOSTS="false")
    assert outcome.code != 0
    assert set(fleet.releases().values()) == {OLD}
    found = events(path)
    [failed] = [e for e in found if e["event"] == "host" and e["outcome"] == "failed"]
    assert (failed["host"], failed["act"], failed["wave"]) == ("h2", "apply", 1)
    [gate] = [e for e in found if e["event"] == "gate"]
    assert gate["outcome"] == "fail"
    assert [e["hosts"] for e in found if e["event"] == "back"] == [["h2", "h1"]]
    assert found[-1]["event"] == "end"
    shown = view(outcome)
    assert "[wave 1] apply: 1 changed, 1 failed" in shown
    assert f"[wave 1] gate:   {gate['reasons'][0]}" in shown
    assert "[rollout] 2 hosts go back: h2, h1" in shown
    assert "Show the waves" not in outcome.output  # what changes nothing is not shown beside it


def test_an_event_file_that_cannot_be_written_stops_nothing(fleet):
    outcome = fleet.canary("-e", "rollout_events=/proc/nowhere/events", "-e", "rollout_view=false")
    assert outcome.code == 0
    assert outcome.says("events are not written any more")
    assert view(outcome) == []
