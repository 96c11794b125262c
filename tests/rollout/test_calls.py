"""What a wave costs on a host: so many calls of modules, each a process there and a trip of ssh. More is a decision."""

from __future__ import annotations

ONE_WAVE = ("-e", "waves=[100]", "-e", "accept_blind=all")


def release(fleet):
    return fleet.canary(*ONE_WAVE)


def policies(fleet):
    fleet.policies(80)
    return fleet.run("canary", *POLICY, *ONE_WAVE)


POLICY = ("-e", "policy=true", "-e", "bake=0", "-e", "stage=0")
SCENARIOS = {"release": release, "policies": policies}


def made(fleet):
    """The calls of each host, in order; how they are alike."""
    return {tuple(call["action"] for call in fleet.calls(host)) for host in fleet.hosts}


def test_release_takes_four_calls_and_one_that_asks_for_it(after):
    fleet, outcome = after("release")
    assert outcome.code == 0, outcome.output
    assert made(fleet) == {("look", "apply", "look", "keep")}


def test_policy_takes_seven_calls(after):
    fleet, outcome = after("policies")
    assert outcome.code == 0, outcome.output
    compared = ("stage", "look")
    changed = ("apply policy", "confirm policy", "look", "commit policy")
    assert made(fleet) == {("look", *compared, *changed)}
