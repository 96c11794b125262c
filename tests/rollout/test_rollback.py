"""Taking back: by order, by rollout, by limit, with a journal that is lost, with hosts that cannot; and what failed is
remembered. Two controllers never work at a time."""

from __future__ import annotations

import shutil
from concurrent.futures import Future

import pytest

from tests.rollout.fleet import CANARY, LIMIT_S, NEW, OLD

DONE = Future()
POLICIES = ("-e", "policy=true", "-e", "bake=0", "-e", "stage=0", "-e", "waves=[50,100]")


def done(fleet):
    """A rollout that reaches everybody; the others begin at what it left on disk."""
    outcome = fleet.canary(FAKE_CUT="keep")
    DONE.set_result(fleet)
    return outcome


def begin(fleet, step=None):
    """After a step of that rollout, the last one if none is named."""
    other = DONE.result(LIMIT_S)
    fleet.begin_at(other, f"after {step or other.steps()}")


def rolled_out(*words, before=lambda fleet: None):
    """A rollout that reached everybody, then rollback.yml."""

    def scenario(fleet):
        begin(fleet)
        given = [word.replace("ID", fleet.rollout()) for word in words]
        before(fleet)
        return fleet.run("rollback", *given)

    return scenario


def lose_journal(fleet):
    shutil.rmtree(fleet.rollouts)


def spoil_journal(fleet):
    lose_journal(fleet)
    fleet.rollouts.mkdir()
    (fleet.rollouts / "journal.db").write_text("not a database, but a text" * 100)


def stuck(fleet):
    for host in ("h1", "h2"):
        fleet.script(host, back="fail")


def twice(fleet):
    first = fleet.run("rollback", "-e", f"rollout={fleet.rollout()}")
    assert first.code == 0, first.output


def again(*words):
    """A release that failed, once more."""

    def scenario(fleet):
        fleet.script("h1", restarts=3)
        assert fleet.canary().code == 2
        fleet.script("h1")
        return fleet.canary(*(word.replace("DIGEST", fleet.digest) for word in words))

    return scenario


def two_controllers(fleet):
    process = fleet.start("canary", *CANARY, "-e", "bake=5")
    fleet.until(lambda: fleet.applied() == ["h1", "h2"], process)
    log = fleet.log
    second = fleet.run("canary", *CANARY)
    fleet.log = log
    return second, fleet.wait(process)


def unfinished(*words):
    def scenario(fleet):
        begin(fleet, step=5)
        fleet.forget_trials()
        return fleet.canary(*(word.replace("ID", fleet.rollout()) for word in words))

    return scenario


def policies_out(*words, twice=False, between=lambda fleet: None, **hosts):
    """Policies that reached everybody, then rollback.yml by the hosts' own records, which may run twice."""

    def scenario(fleet):
        fleet.policies(80)
        rolled = fleet.run("canary", *POLICIES)
        assert rolled.code == 0, rolled.output
        for host, faults in hosts.items():
            fleet.script(host, **faults)
        first = fleet.run("rollback", "-e", "policy=true", *words)
        between(fleet)
        return fleet.run("rollback", "-e", "policy=true", *words) if twice else first

    return scenario


def in_racks(fleet):
    """Three of the four hosts in one rack."""
    begin(fleet)
    fleet.racks({"h1": "r1", "h2": "r1", "h3": "r1", "h4": "r2"})
    return fleet.run("rollback")


def two_ways(fleet):
    return fleet.run("rollback", "-e", "policy=true", "-e", "release=0.1.0")


SCENARIOS = {
    "done": done,
    "rollout": rolled_out("-e", "rollout=ID"),
    "limit": rolled_out("-e", "rollout=ID", "--limit", "h1,h4"),
    "twice": rolled_out("-e", "rollout=ID", before=twice),
    "fleet": rolled_out(),
    "check": rolled_out("-e", "rollout=ID", "--check"),
    "no journal": rolled_out("-e", "rollout=ID", before=lose_journal),
    "spoilt journal": rolled_out(before=spoil_journal),
    "one out of reach": rolled_out("-e", "rollout=ID", before=lambda fleet: fleet.down("h2")),
    "two stuck": rolled_out("-e", "rollout=ID", before=stuck),
    "policies": policies_out(),
    "policies twice": policies_out(twice=True),
    "policies twice, no journal": policies_out(twice=True, between=lose_journal),
    "policies, limit": policies_out("--limit", "h2"),
    "two ways": two_ways,
    "in racks": in_racks,
    "denied": again(),
    "allowed": again("-e", "allow_denied=DIGEST"),
    "two controllers": two_controllers,
    "unfinished": unfinished(),
    "abandoned": unfinished("-e", "abandon=ID"),
}


@pytest.mark.parametrize("name", ["rollout", "twice", "fleet", "no journal", "spoilt journal"])
def test_everybody_goes_back_and_says_so(after, name):
    fleet, outcome = after(name)
    assert outcome.code == 0, outcome.output
    assert fleet.releases() == dict.fromkeys(fleet.hosts, OLD)
    assert outcome.says("restored to 0.1.0: h1, h2, h3, h4")


def test_newest_wave_goes_back_first(after):
    fleet, _ = after("rollout")
    assert fleet.went_back() == [["h3", "h4"], ["h1", "h2"]]


def test_second_time_changes_nothing(after):
    fleet, _ = after("twice")
    assert {host: sum(c["changed"] for c in fleet.calls(host, "back")) for host in fleet.hosts} == (
        dict.fromkeys(fleet.hosts, 1)
    )


def test_limit_leaves_the_others(after):
    fleet, outcome = after("limit")
    assert outcome.code == 2
    assert fleet.releases() == {"h1": OLD, "h2": NEW, "h3": NEW, "h4": OLD}
    assert outcome.says("h2 (kept)")
    assert outcome.says("h3 (kept)")


def test_check_changes_nobody(after):
    fleet, outcome = after("check")
    assert outcome.code == 0
    assert fleet.releases() == dict.fromkeys(fleet.hosts, NEW)
    assert fleet.journal("SELECT state FROM rollouts") == [("done",)]


def test_host_out_of_reach_is_listed_and_the_others_go_back(after):
    fleet, outcome = after("one out of reach")
    assert outcome.code == 2
    assert outcome.says("NOT reached: h2 (no contact")
    assert fleet.releases() == {"h1": OLD, "h2": NEW, "h3": OLD, "h4": OLD}
    assert fleet.journal("SELECT state FROM rollouts") == [("incomplete",)]


def test_it_halts_where_it_fails_on_too_many(after):
    fleet, outcome = after("two stuck")
    assert outcome.code == 2
    assert outcome.says("h1 (it runs release 0.1.1, wanted 0.1.0: back fails here)")
    assert fleet.journal("SELECT state FROM rollouts") == [("halted",)]
    assert outcome.says("TAKING BACK WAS HALTED")


def test_what_failed_is_refused_for_the_whole_fleet(after):
    fleet, outcome = after("denied")
    assert outcome.code == 2
    assert outcome.says(f"allow_denied={fleet.digest}")
    assert fleet.applies() == {"h1": 1, "h2": 1, "h3": 0, "h4": 0}


def test_what_failed_may_be_tried_by_name(after):
    fleet, outcome = after("allowed")
    assert outcome.code == 0, outcome.output
    assert fleet.releases() == dict.fromkeys(fleet.hosts, NEW)
    assert fleet.journal("SELECT digest FROM denied") == []


def test_second_controller_is_refused_and_the_first_goes_on(after):
    fleet, (second, first) = after("two controllers")
    assert second.code == 2
    assert second.says("another controller (process")
    assert first.code == 0
    assert fleet.applies() == dict.fromkeys(fleet.hosts, 1)


def test_rollout_that_has_not_ended_is_not_passed_over(after):
    fleet, outcome = after("unfinished")
    assert outcome.code == 2
    assert outcome.says("has not ended; nothing was changed. Go on with it: -e rollout=")
    fleet, outcome = after("abandoned")
    assert outcome.code == 0, outcome.output
    assert fleet.journal("SELECT state FROM rollouts ORDER BY created") == [
        ("abandoned",),
        ("done",),
    ]


# --- policies, by the hosts' own records


def digests(fleet):
    return {host: fleet.state(host)["digest"] for host in fleet.hosts}


POLICIES_TWICE = ["policies twice", "policies twice, no journal"]


@pytest.mark.parametrize("name", ["policies", *POLICIES_TWICE])
def test_policies_go_back_to_what_each_host_had_before(after, name):
    fleet, outcome = after(name)
    assert outcome.code == 0, outcome.output
    assert digests(fleet) == dict.fromkeys(fleet.hosts, "ab12")
    assert outcome.says("taken back, as asked: the policy before")
    assert outcome.says("restored to ab12: h1, h2, h3, h4")


@pytest.mark.parametrize("name", POLICIES_TWICE)
def test_second_time_takes_no_policy_forward_again(after, name):
    fleet, _ = after(name)
    assert [len(fleet.calls(host, "apply policy")) for host in fleet.hosts] == [2] * 4


def test_policy_of_one_host_goes_back_alone(after):
    fleet, outcome = after("policies, limit")
    assert outcome.code == 0, outcome.output
    found = digests(fleet)
    assert found.pop("h2") == "ab12"
    assert "ab12" not in found.values()


def test_two_ways_back_are_refused(after):
    fleet, outcome = after("two ways")
    assert outcome.code == 2
    assert outcome.says("name one of -e rollout=ID, -e release=0.1.0, -e policy=true")
    assert not any(fleet.calls(host) for host in fleet.hosts)


def test_hosts_of_one_rack_go_back_one_after_the_other(after):
    fleet, outcome = after("in racks")
    assert outcome.code == 0, outcome.output
    assert fleet.went_back() == [["h1", "h4"], ["h2"], ["h3"]]
