"""Drills over fake hosts: who gets the fault, what counts as caught, and who is on what afterwards."""

from __future__ import annotations

import json

import pytest

from tests.rollout.fleet import NEW, OLD

DRILL = ("-e", "bake=0", "-e", "waves=[50,100]", "-e", "seed=1")
RELEASE = (*DRILL, "-e", f"release={NEW}")


def drill(fault, *words, faults=None, meanwhile=None):
    def scenario(fleet):
        for host, script in (faults or {}).items():
            fleet.script(host, **script)
        if meanwhile:
            meanwhile(fleet)
        return fleet.run("drill", "-e", f"drill_fault={fault}", *words)

    return scenario


def with_policies(fleet):
    fleet.policies(80)
    fleet.script("h1", policy="breaks")


def unfinished(fleet):
    fleet.canary("-e", "bake=0", FAKE_CUT="after 6")
    fleet.forget_trials()
    fleet.settle()


SCENARIOS = {
    "caught": drill("crash_loop", *RELEASE),
    "missed": drill("cpu_burn", *RELEASE),
    "otherwise": drill("cpu_burn", *RELEASE, faults={"h2": {"restarts": 3}}),
    "not planted": drill("crash_loop", *RELEASE, faults={"h1": {"plant": "fail"}}),
    "policy": drill("ssh_cut", *DRILL, "-e", "stage=0", meanwhile=with_policies),
    "checked": drill("crash_loop", *RELEASE, "--check"),
    "no fault": lambda fleet: fleet.run("drill", *RELEASE),
    "no release": drill("crash_loop", *DRILL),
    "no artifact": drill("crash_loop", *DRILL, "-e", "release=9.9.9"),
    "release is there": drill(
        "crash_loop", *DRILL, "-e", f"release={OLD}", meanwhile=lambda f: f._artifact(OLD)
    ),
    "no key": drill("verifier_reject", *RELEASE, "-e", "tcmicro_allow_unsigned=false"),
    "unfinished": drill("crash_loop", *RELEASE, meanwhile=unfinished),
}


def result(fleet):
    return json.loads((fleet.rollouts / "drills/drills.json").read_text())["results"][-1]


def planted(fleet):
    return [host for host in fleet.hosts if fleet.calls(host, "plant fault")]


def test_fault_is_caught_on_its_host_and_nobody_is_left_on_it(after):
    fleet, outcome = after("caught")
    assert outcome.code == 0, outcome.output
    assert planted(fleet) == ["h1"]
    assert len(fleet.calls("h1", "remove fault")) == 1
    assert fleet.touched() == ["h1", "h2"]
    assert fleet.releases() == dict.fromkeys(fleet.hosts, OLD)
    found = result(fleet)
    assert (found["outcome"], found["passed"], found["wave"]) == ("caught", True, 1)
    assert (found["by"]["level"], found["by"]["gate"]) == ("L0", "restarts")
    assert (found["exposed"], found["exposure_planned"], found["wrong"]) == (2, 2, [])
    assert outcome.says("crash_loop on h1: caught in wave 1 after")


def test_result_is_written_beside_the_report(after):
    fleet, _ = after("caught")
    folder = fleet.rollouts / fleet.rollout()
    assert json.loads((folder / "drill.json").read_text()) == result(fleet)
    assert "| crash\\_loop | h1 | caught |" in (folder / "drill.md").read_text()
    assert (folder / "report.md").exists()


def test_what_was_rolled_out_is_not_denied_for_the_fault_that_was_planted(after):
    fleet, _ = after("caught")
    assert fleet.journal("SELECT digest FROM denied") == []
    denied = fleet.journal("SELECT kind FROM events WHERE kind IN ('deny', 'allow') ORDER BY seq")
    assert denied == [("deny",), ("allow",)]


def test_fault_that_nobody_found_fails_the_drill_and_everybody_is_taken_back(after):
    fleet, outcome = after("missed")
    assert outcome.code == 2
    assert outcome.says("missed: every wave passed with cpu_burn on h1")
    assert result(fleet)["outcome"] == "missed"
    assert fleet.releases() == dict.fromkeys(fleet.hosts, OLD)
    assert result(fleet)["on_fault"] == []
    assert len(fleet.calls("h1", "remove fault")) == 1


def test_what_others_found_does_not_count_and_stays_denied(after):
    fleet, outcome = after("otherwise")
    assert outcome.code == 2
    assert outcome.says("stopped by something else: h2: 3 restarts")
    assert fleet.journal("SELECT digest FROM denied") == [(fleet.digest,)]


def test_nothing_is_rolled_out_where_the_fault_cannot_be_planted(after):
    fleet, outcome = after("not planted")
    assert outcome.code == 2
    assert outcome.says("not planted: h1: plant fails here")
    assert fleet.applies() == dict.fromkeys(fleet.hosts, 0)
    assert not (fleet.rollouts / "journal.db").exists()


def test_policy_of_a_drill_is_for_its_host_alone_and_ends(after):
    fleet, outcome = after("policy")
    assert outcome.code == 0, outcome.output
    [drill_id] = [path.name for path in (fleet.rollouts / "drills").iterdir() if path.is_dir()]
    policy = json.loads((fleet.rollouts / f"drills/{drill_id}/policies/drill.yml").read_text())
    assert policy["spec"]["applyTo"] == {"hosts": ["h1"]}
    assert all(rule["expires"] for way in ("ingress", "egress") for rule in policy["spec"][way])
    assert fleet.touched() == ["h1", "h2"]
    assert {fleet.state(host)["digest"] for host in fleet.hosts} == {"ab12"}
    assert fleet.journal("SELECT digest FROM denied") == []


def test_check_mode_says_who_would_get_it_and_plants_nothing(after):
    fleet, outcome = after("checked")
    assert outcome.code == 0, outcome.output
    assert outcome.says("planted on 1 host of 4: h1")
    assert planted(fleet) == []
    assert fleet.touched() == []


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("no fault", "which fault? Name one: -e drill_fault=NAME"),
        ("no release", "name one that the hosts do not run yet"),
        ("no artifact", "release 9.9.9 is not there"),
        ("release is there", "h1: runs release 0.1.0 already"),
        ("no key", "-e drill_release_key=FILE"),
    ],
)
def test_drill_that_cannot_be_carried_out_touches_nobody(after, name, says):
    fleet, outcome = after(name)
    assert outcome.code == 2
    assert outcome.says(says)
    assert fleet.touched() == []


def test_drill_waits_for_no_rollout_and_disturbs_none(after):
    fleet, outcome = after("unfinished")
    assert outcome.code == 2
    assert outcome.says("has not ended; a drill comes after it")
    assert planted(fleet) == []
    assert fleet.journal("SELECT state FROM rollouts") == [("running",)]
