"""Where a drill plants its fault, and what it takes for the fault to count as caught."""

from __future__ import annotations

import random

import pytest
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.drill import faults, plan, results
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.drill.faults import (
    CATALOGUE,
    DrillRefused,
)
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.drill.verdict import (
    Evidence,
    Outcome,
    judge,
)

HOSTS = [f"h{number}" for number in range(1, 11)]
ROLLOUT = {
    "seed": 7,
    "fleet": 10,
    "waves": [
        {"number": 1, "hosts": ["h3", "h1", "h2"], "exposure": 3},
        {"number": 2, "hosts": HOSTS[3:], "exposure": 10},
    ],
}


def request(**words):
    return plan.read({"fault": "crash_loop", "release": "0.1.1", "bake": 30, **words})


def planned(asked=None, runs=None, rollout=ROLLOUT):
    return plan.plan(asked or request(), rollout, runs or dict.fromkeys(HOSTS, "0.1.0"), "d1")


# --- planning


@pytest.mark.parametrize("name", [None, "", "none", "crash loop"])
def test_drill_without_a_known_fault_is_refused_with_all_there_are(name):
    with pytest.raises(DrillRefused) as refused:
        request(fault=name)
    for known in CATALOGUE:
        assert known in str(refused.value)


def test_everything_that_is_wrong_is_said_at_once():
    with pytest.raises(DrillRefused) as refused:
        request(hosts=0, wave="x", amount=601, expires_s=89, release="")
    for text in (
        "drill_hosts: 0 is not allowed; allowed is a whole number from 1",
        "drill_wave: 'x'",
        "drill_amount: 601 is not allowed; allowed is a whole number from 1 to 600",
        "drill_expires_s: 89 is not allowed; allowed is a whole number from 90",
        "name one that the hosts do not run yet",
    ):
        assert text in str(refused.value)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ({"fault": "ssh_cut"}, "leave -e release=… out"),
        ({"policy": "true"}, "leave -e policy=… out"),
    ],
)
def test_fault_is_not_planted_in_the_other_kind_of_rollout(words, says):
    with pytest.raises(DrillRefused, match=says):
        request(**words)


def test_hosts_are_the_first_of_the_wave_and_no_more_than_asked_for():
    assert planned().hosts == ("h3",)
    assert planned(request(hosts=2)).hosts == ("h3", "h1")
    assert planned(request(wave="2")).hosts == ("h4",)


def test_never_more_than_a_fifth_of_the_fleet_or_one():
    chance = random.Random(5)
    for _ in range(500):
        fleet, asked = chance.randint(1, 400), chance.randint(1, 400)
        most = plan.cap(asked, fleet)
        assert 1 <= most <= asked
        assert most == 1 or most * 5 <= fleet
    assert plan.cap(9, 10) == 2


def test_host_that_runs_the_release_already_would_not_be_drilled():
    with pytest.raises(DrillRefused, match="h3: runs release 0.1.1 already"):
        planned(runs={"h3": "0.1.1"})


def test_wave_that_the_rollout_does_not_have_is_refused():
    with pytest.raises(DrillRefused, match="the rollout has 2 waves"):
        planned(request(wave=3))


def test_fault_lasts_until_its_wave_is_judged_unless_told_otherwise():
    assert request().expires_s == 30 * 3 + 300
    assert request(wave=2).expires_s == 2 * request().expires_s
    assert request(expires_s="90").expires_s == 90


def test_artifact_that_is_made_to_be_bad_has_a_version_of_its_own():
    assert request(fault="verifier_reject").version == "0.1.1-drill"
    assert request().version == "0.1.1"
    assert request(fault="ssh_cut", release="").version == ""


def test_every_fault_has_a_plan_that_names_what_it_does():
    for name, fault in CATALOGUE.items():
        words = {"fault": name, "release": "" if fault.of_policy else "0.1.1"}
        said = " ".join(planned(request(**words)).lines())
        assert fault.what in said
        assert "h3; gone by itself after 390 s" in said
        assert not fault.unit or f", {fault.amount} {fault.unit}" in said


# --- judging


def look(release="0.1.0", digest="ab"):
    return {
        "releases": {"current": release},
        "status": {"policy": {"digest": digest}},
    }


def finding(host, outcome="fail", **more):
    return {"level": "L0", "metric": "restarts", "host": host, "outcome": outcome, **more}


def record(*findings, state="rolled_back", **more):
    touched = ["h1", "h2", "h3"]
    failed = {
        "number": 1,
        "state": "failed",
        "exposure": 3,
        "started": 100.0,
        "ended": 142.0,
        "verdict": {"findings": [{"text": "3 restarts", **f} for f in findings]},
    }
    hosts = {
        host: {"state": "reverted" if host in touched else "untouched", "before": "0.1.0"}
        for host in HOSTS
    }
    known = {"id": "r1", "state": state, "why": "somebody said so", "hosts": hosts}
    return {**known, "waves": [failed, {"number": 2, "state": "planned"}], **more}


BEGAN = {"h3": {"began": {"problem": ""}, "left": []}}


def evidence(found, **more):
    looks = {host: look() for host in HOSTS}
    given = {
        "record": found,
        "problem": "",
        "before": looks,
        "after": looks,
        "planted": {"h3": {"planted": {"fault": "crash_loop"}}},
        "removed": BEGAN,
    }
    return Evidence(**{**given, **more})


def test_fault_that_its_host_was_found_by_is_caught():
    found = judge(planned(), evidence(record(finding("h3"))))
    assert (found.outcome, found.passed, found.wrong) == (Outcome.CAUGHT, True, ())
    assert (found.by.level, found.by.host, found.wave, found.seconds) == ("L0", "h3", 1, 42)
    assert (found.exposed, found.allowed) == (3, 3)


def test_finding_on_the_whole_wave_is_as_good():
    found = judge(planned(), evidence(record(finding(None), finding("h1", "inconclusive"))))
    assert found.passed
    assert found.by.host == ""


def test_finding_on_the_host_comes_before_graver_ones_on_others():
    said = record(finding("h1"), finding("h3", "inconclusive"))
    assert judge(planned(), evidence(said)).by.host == "h3"


@pytest.mark.parametrize(
    "findings", [[finding("h1")], [], [finding("h3", "pass")], [finding("h3", enforce=False)]]
)
def test_rollout_that_others_stopped_has_not_caught_it(findings):
    found = judge(planned(), evidence(record(*findings)))
    assert (found.outcome, found.passed) == (Outcome.OTHERWISE, False)
    assert found.wrong == ("stopped by something else: somebody said so",)


def test_rollout_that_passed_has_missed_it():
    passed = record(state="succeeded", waves=[{"number": 1, "state": "passed"}])
    found = judge(planned(), evidence(passed))
    assert found.outcome is Outcome.MISSED
    assert found.wrong[0] == "missed: every wave passed with crash_loop on h3"


def test_rollout_that_has_not_ended_has_caught_nothing():
    lost = record(finding("h3"), state="running", why="")
    found = judge(planned(), evidence(lost, problem="[ERROR]: the gate file has a fault"))
    assert (found.outcome, found.passed) == (Outcome.NOT_ENDED, False)
    assert found.wrong == ("not ended: [ERROR]: the gate file has a fault",)


def test_rollout_that_did_not_begin_says_why():
    found = judge(planned(), evidence(None, problem="[ERROR]: release 0.1.1 is denied\nmore"))
    assert found.outcome is Outcome.NOT_BEGUN
    assert found.wrong == ("the rollout did not begin: [ERROR]: release 0.1.1 is denied",)


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"planted": {}}, "h3: nothing was heard from it"),
        ({"planted": {"h3": {"failed": True, "msg": "no room"}}}, "h3: no room"),
        ({"removed": {"h3": {"began": None, "left": []}}}, "never ran there"),
        ({"removed": {"h3": {"began": {"problem": "OSError: 1"}, "left": []}}}, "OSError: 1"),
    ],
)
def test_fault_that_never_began_is_not_caught_whatever_the_rollout_says(more, says):
    found = judge(planned(), evidence(record(finding("h3")), **more))
    assert (found.outcome, found.passed) == (Outcome.NOT_PLANTED, False)
    assert says in found.wrong[0]


def test_fault_that_is_caught_a_wave_too_late_has_not_passed():
    late = record(finding("h3"))
    late["waves"][0] = {**late["waves"][0], "number": 2}
    assert judge(planned(), evidence(late)).wrong == ("caught in wave 2, the fault was in wave 1",)


def test_more_exposed_than_planned_has_not_passed():
    far = record(finding("h3"))
    far["hosts"]["h9"]["state"] = "reverted"
    assert judge(planned(), evidence(far)).wrong == ("4 hosts were touched, allowed 3",)


def test_host_still_on_it_and_host_without_contact_have_not_passed():
    looks = {host: look() for host in HOSTS} | {"h1": look("0.1.1"), "h2": {"unreachable": True}}
    found = judge(planned(), evidence(record(finding("h3")), after=looks))
    assert (found.on_fault, found.locked_out) == (("h1",), ("h2",))
    assert found.wrong == ("still on what was rolled out: h1", "locked out: h2")


def test_policy_is_told_by_its_digest():
    drill = planned(request(fault="ssh_cut", release=""))
    found = record(finding("h3"))
    for host in found["hosts"].values():
        host["before"] = "ab"
    looks = {host: look() for host in HOSTS} | {"h3": look(digest="cd")}
    more = {"planted": {}, "removed": {}}
    assert judge(drill, evidence(found, **more)).passed
    assert judge(drill, evidence(found, **more, after=looks)).on_fault == ("h3",)


def test_what_is_left_or_not_known_to_be_gone_has_not_passed():
    for removed, says in (
        ({**BEGAN["h3"], "left": ["/run/x"]}, "h3: not removed: /run/x"),
        ({**BEGAN["h3"], "unreachable": True, "msg": "no route"}, "ends it by itself after 390 s"),
    ):
        found = judge(planned(), evidence(record(finding("h3")), removed={"h3": removed}))
        assert says in found.wrong[0]


# --- results


def result(now=1.0, found=None, **words):
    drill = planned(request(**words))
    return results.document(
        drill, judge(drill, evidence(found or record(finding("h3")))), "r1", now
    )


def test_page_has_a_row_for_the_last_result_of_each_fault():
    kept = results.latest([result(2.0, fault="cpu_burn"), result(3.0), result(1.0)])
    assert [(r["drill"]["fault"], r["time"]) for r in kept] == [
        ("cpu_burn", 2.0),
        ("crash_loop", 3.0),
    ]
    page = results.markdown(kept)
    [row] = [line for line in page.splitlines() if line.startswith("| crash\\_loop")]
    assert row.split(" | ")[1:] == [
        *("h3", "caught", "L0 restarts h3: 3 restarts", "1", "42 s", "3 of 3", "0", "0 |")
    ]


def test_text_of_hosts_is_no_markup():
    said = result(found=record({**finding("h3"), "text": "a|b <i> `x`"}))
    assert "a\\|b &lt;i> \\`x\\`" in results.markdown([said])


def test_failed_drill_says_so_first():
    lines = results.lines(result(found=record(finding("h1"))))
    assert lines[0].startswith("crash_loop on h3: FAILED: stopped by something else in wave 1")
    assert lines[-1] == "wrong: stopped by something else: somebody said so"


def test_names_of_faults_are_their_own():
    assert all(faults.find(name).name == name for name in CATALOGUE)
