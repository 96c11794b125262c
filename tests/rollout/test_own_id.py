"""A rollout under an id of the caller's own, in parts: what others decide between waves.

What was never begun takes nobody back.
"""

from __future__ import annotations

import pytest

from tests.rollout.fleet import NEW, OLD

OWN = ("-e", "rollout_as=wf-7")
FIRST = (*OWN, "-e", "stop_after=1")


def first_wave(fleet):
    return fleet.canary(*FIRST)


def in_parts(fleet):
    assert fleet.canary(*FIRST).code == 0
    return fleet.canary(*OWN)


def first_wave_twice(fleet):
    assert fleet.canary(*FIRST).code == 0
    return fleet.canary(*FIRST)


def refused(fleet):
    """Nobody approves the rest."""
    assert fleet.canary(*FIRST).code == 0
    return fleet.run("rollback", *OWN)


def never_begun(fleet):
    """The caller's controller was lost before it planned; a rollout of somebody else has ended well before."""
    assert fleet.canary().code == 0
    return fleet.run("rollback", *OWN)


def never_begun_in_an_empty_journal(fleet):
    return fleet.run("rollback", *OWN)


def begun_late(fleet):
    assert fleet.run("rollback", *OWN).code == 0
    return fleet.canary(*OWN)


def lost(fleet):
    fleet.canary(*FIRST, FAKE_CUT="after 5")
    return fleet.run("rollback", *OWN)


def other_release(fleet):
    assert fleet.canary(*FIRST).code == 0
    return fleet.canary(*OWN, "-e", "release=0.1.2")


SCENARIOS = {
    "first wave": first_wave,
    "in parts": in_parts,
    "first wave twice": first_wave_twice,
    "refused": refused,
    "never begun": never_begun,
    "empty journal": never_begun_in_an_empty_journal,
    "begun late": begun_late,
    "lost": lost,
    "other release": other_release,
    "bad id": lambda fleet: fleet.canary("-e", "rollout_as=../x"),
    "bad wave": lambda fleet: fleet.canary(*OWN, "-e", "stop_after=first"),
}


def test_it_ends_well_after_the_wave_and_waits(after):
    fleet, outcome = after("first wave")
    assert outcome.code == 0, outcome.output
    assert outcome.says("passed wave 1 of 2, 2 hosts have it; go on with -e rollout=wf-7")
    assert fleet.releases() == {"h1": NEW, "h2": NEW, "h3": OLD, "h4": OLD}
    assert fleet.waiting() == []
    assert fleet.journal("SELECT id, state FROM rollouts") == [("wf-7", "running")]


def test_second_part_changes_the_rest(after):
    fleet, outcome = after("in parts")
    assert outcome.code == 0, outcome.output
    assert fleet.applies() == dict.fromkeys(fleet.hosts, 1)
    assert fleet.journal("SELECT id, state FROM rollouts") == [("wf-7", "done")]


def test_first_part_again_changes_nobody(after):
    fleet, outcome = after("first wave twice")
    assert outcome.code == 0, outcome.output
    assert fleet.applies() == {"h1": 1, "h2": 1, "h3": 0, "h4": 0}


@pytest.mark.parametrize("name", ["refused", "lost"])
def test_what_was_begun_goes_back(after, name):
    fleet, outcome = after(name)
    assert outcome.code == 0, outcome.output
    assert fleet.releases() == dict.fromkeys(fleet.hosts, OLD)
    assert fleet.journal("SELECT id, state FROM rollouts") == [("wf-7", "back")]


@pytest.mark.parametrize(("name", "runs"), [("never begun", NEW), ("empty journal", OLD)])
def test_what_was_never_begun_takes_nobody_back(after, name, runs):
    fleet, outcome = after(name)
    assert outcome.code == 0, outcome.output
    assert outcome.says("nothing was begun as rollout wf-7")
    assert fleet.releases() == dict.fromkeys(fleet.hosts, runs)
    assert not any(fleet.calls(host, "back") for host in fleet.hosts)


def test_whoever_is_late_begins_nothing(after):
    fleet, outcome = after("begun late")
    assert outcome.code == 2
    assert outcome.says("taken back before it began")
    assert fleet.touched() == []


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("other release", "rollout_as: rollout wf-7 is release 0.1.1, not release 0.1.2"),
        ("bad id", "rollout_as: '../x' is not allowed; allowed are up to 64 letters"),
        ("bad wave", "stop_after: 'first' is not allowed; allowed is the number of a wave"),
    ],
)
def test_it_is_refused_before_any_host_is_changed(after, name, message):
    fleet, outcome = after(name)
    assert outcome.code == 2
    assert outcome.says(message)
    assert "h3" not in fleet.touched()
