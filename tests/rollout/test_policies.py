"""Policies go the same way as releases: in waves, compared with what rules before they are made live, and back."""

from __future__ import annotations

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


def cut(fleet):
    fleet.policies(80)
    killed = fleet.run("canary", *WORDS, FAKE_CUT="after 6")
    return killed, fleet.run("canary", *WORDS[2:], "-e", f"rollout={fleet.rollout()}")


SCENARIOS = {"good": good, "bad": bad, "not staged": not_staged, "cut": cut}


def digests(fleet):
    return {host: fleet.state(host)["digest"] for host in fleet.hosts}


def test_policies_reach_everybody_and_were_compared_first(after):
    fleet, outcome = after("good")
    assert outcome.code == 0, outcome.output
    assert OLD not in digests(fleet).values()
    for host in fleet.hosts:
        change = fleet.state(host)["policy_change"]
        assert change["confirmed"]
        assert change["staged"] == change["digest"]


def test_policy_under_which_a_host_is_not_well_goes_back_by_its_bundle_before(after):
    fleet, outcome = after("bad")
    assert outcome.code == 2
    assert outcome.says("canary of policies")
    assert fleet.touched() == ["h1", "h2"]
    assert digests(fleet) == dict.fromkeys(fleet.hosts, OLD)
    wanted = fleet.journal("SELECT wanted FROM hosts WHERE host = 'h1'")
    assert fleet.journal("SELECT digest FROM denied") == wanted


def test_policy_that_cannot_be_compared_is_made_live_nowhere(after):
    fleet, outcome = after("not staged")
    assert outcome.code == 2
    assert outcome.says("h1: not staged: stage fails here")
    assert not any(fleet.calls(host, "apply policy") for host in fleet.hosts)
    assert {fleet.state(host)["staged"] for host in fleet.hosts} == {""}


def test_cut_rollout_of_policies_applies_none_twice(after):
    fleet, (killed, resumed) = after("cut")
    assert killed.code == -9
    assert resumed.code == 0, resumed.output
    assert {host: len(fleet.calls(host, "apply policy")) for host in fleet.hosts} == dict.fromkeys(
        fleet.hosts, 1
    )
