"""Policies go the same way as releases: in waves, compared with what rules before they are made live, and back."""

from __future__ import annotations

import pytest

from tests.rollout.fleet import Fleet

WORDS = ("-e", "policy=true", "-e", "bake=0", "-e", "stage=0", "-e", "waves=[50,100]")
OLD = "ab12"


def good(fleet):
    fleet.policies(80)
    return fleet.run("canary", *WORDS)


def bad(fleet):
    fleet.policies(80)
    fleet.script("h1", policy="breaks")
    return fleet.run("canary", *WORDS)


def not_staged(fleet):
    fleet.policies(80)
    fleet.script("h1", stage="fail")
    return fleet.run("canary", *WORDS)


def cut(step, meanwhile=lambda fleet: None):
    """Killed when the first wave was changed, or before anybody wrote that down."""

    def scenario(fleet):
        fleet.policies(80)
        killed = fleet.run("canary", *WORDS, FAKE_CUT=step)
        at = {host: fleet.state(host) for host in fleet.hosts}
        meanwhile(fleet)
        return killed, at, fleet.run("canary", *WORDS[2:], "-e", f"rollout={fleet.rollout()}")

    return scenario


def overtaken(fleet):
    """Another controller was at a host of the second wave since this one began."""
    fleet.policies(80)
    fleet.change("h3", epoch=2**40)
    return fleet.run("canary", *WORDS)


SCENARIOS = {
    "good": good,
    "bad": bad,
    "not staged": not_staged,
    "cut": cut("after 6"),
    "cut before it is known": cut("before 6"),
    "lost for long": cut("after 6", Fleet.forget_trials),
    "overtaken": overtaken,
}


def digests(fleet):
    return {host: fleet.state(host)["digest"] for host in fleet.hosts}


def test_policies_reach_everybody_and_were_compared_first(after):
    fleet, outcome = after("good")
    assert outcome.code == 0, outcome.output
    assert OLD not in digests(fleet).values()
    for host in fleet.hosts:
        change = fleet.state(host)["policy_change"]
        assert (change["state"], change["deadline"]) == ("confirmed", None)
        assert change["staged"] == change["digest"]
        steps = [call["action"] for call in fleet.calls(host) if "policy" in call["action"]]
        assert steps == ["apply policy", "confirm policy", "commit policy"]


def test_policy_under_which_a_host_is_not_well_is_taken_back_before_its_lease_ends(after):
    fleet, outcome = after("bad")
    assert outcome.code == 2
    assert outcome.says("canary of policies")
    assert fleet.touched() == ["h1", "h2"]
    assert digests(fleet) == dict.fromkeys(fleet.hosts, OLD)
    assert len(fleet.calls("h1", "revert policy")) == len(fleet.calls("h2", "revert policy")) == 1
    wanted = fleet.journal("SELECT wanted FROM hosts WHERE host = 'h1'")
    assert fleet.journal("SELECT digest FROM denied") == wanted


def test_what_was_kept_goes_back_by_its_bundle_before(after):
    fleet, outcome = after("overtaken")
    assert outcome.code == 2
    assert outcome.says("is over")
    assert digests(fleet) == dict.fromkeys(fleet.hosts, OLD)
    assert [len(fleet.calls(host, "commit policy")) for host in fleet.hosts] == [1, 1, 0, 0]
    assert fleet.state("h1")["policies"][-1] == OLD
    assert not fleet.calls("h3", "apply policy")


def test_policy_that_cannot_be_compared_is_made_live_nowhere(after):
    fleet, outcome = after("not staged")
    assert outcome.code == 2
    assert outcome.says("h1: not staged: stage fails here")
    assert not any(fleet.calls(host, "apply policy") for host in fleet.hosts)
    assert {fleet.state(host)["staged"] for host in fleet.hosts} == {""}


def test_cut_rollout_of_policies_applies_none_twice(after):
    fleet, (killed, _, resumed) = after("cut")
    assert killed.code == -9
    assert resumed.code == 0, resumed.output
    assert applied(fleet) == dict.fromkeys(fleet.hosts, 1)


def test_lost_controller_leaves_nobody_on_the_policy_for_good(after):
    fleet, (_, at, resumed) = after("lost for long")
    assert [at[host]["policy_change"]["state"] for host in ("h1", "h2")] == ["leased"] * 2
    assert resumed.code == 0, resumed.output
    assert applied(fleet) == {"h1": 2, "h2": 2, "h3": 1, "h4": 1}
    assert fleet.journal("SELECT digest FROM denied") == []


def test_policy_that_nobody_can_keep_for_want_of_its_token_is_begun_anew(after):
    fleet, (_, _, resumed) = after("cut before it is known")
    assert resumed.code == 0, resumed.output
    assert len(fleet.calls("h1", "revert policy")) == 1
    assert applied(fleet) == {"h1": 2, "h2": 2, "h3": 1, "h4": 1}


@pytest.mark.parametrize("name", ["cut", "lost for long"])
def test_controllers_that_follow_have_higher_numbers(after, name):
    fleet, (_, at, _) = after(name)
    assert 1_600_000_000 < at["h1"]["epoch"] < fleet.state("h1")["epoch"]


def applied(fleet):
    return {host: len(fleet.calls(host, "apply policy")) for host in fleet.hosts}
