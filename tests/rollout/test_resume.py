"""A rollout whose controller is killed, at every step there is, and gone on with: no host is changed twice, no wave
is left out, nothing that was not watched counts as baked."""

from __future__ import annotations

from concurrent.futures import Future

import pytest

from tests.rollout.fleet import LIMIT_S, NEW, OLD

# What is written, in order; the first two make the journal and take the turn.
GOOD = ["make", "claim", "plan"]
GOOD += [f"{step} {wave}" for wave in (1, 2) for step in ("change", "changed", "judged", "kept")]
GOOD += ["finish"]
BAD = ["make", "claim", "plan", "change", "changed", "judged"]
BAD += [f"{step} {batch}" for batch in (1, 2) for step in ("take back", "taken back")]
BAD += ["finish"]
FAILED_AT = BAD.index("judged") + 1  # from here on it is known to have failed


def cuts(steps, first):
    """After every step; and before those that tell what became of hosts, when it is done but nobody knows."""
    effects = ("changed", "kept", "taken back")
    before = [("before", n) for n, step in enumerate(steps, 1) if step.startswith(effects)]
    after = [("after", number) for number in range(first, len(steps) + 1)]
    return [*[(when, n) for when, n in before if n >= first], *after]


CUTS, BACK_CUTS = cuts(GOOD, 2), cuts(BAD, FAILED_AT)


UNCUT = {"good": Future(), "bad": Future()}


def uncut(name, **faults):
    """Nothing is killed; what there is at each step is kept."""

    def scenario(fleet):
        for host, fault in faults.items():
            fleet.script(host, **fault)
        done = fleet.canary(FAKE_CUT="keep")
        UNCUT[name].set_result(fleet)
        return done

    return scenario


def cut(name, when, number):
    """As if killed at that step; then, if there is a rollout by then, gone on with, else begun again."""

    def scenario(fleet):
        fleet.begin_at(UNCUT[name].result(LIMIT_S), f"{when} {number}")
        return go_on(fleet)

    return scenario


def go_on(fleet):
    begun = fleet.journal("SELECT id FROM rollouts")
    return fleet.canary("-e", f"rollout={begun[0][0]}") if begun else fleet.canary()


def killed_by(host, moment):
    """The controller dies while a host acts, the others being wherever they are."""

    def scenario(fleet):
        fleet.script(host, **{moment: "kill"})
        killed = fleet.canary()
        fleet.settle()
        return killed, go_on(fleet)

    return scenario


def lost_for_long(fleet):
    """Every host has gone back by itself before somebody goes on."""
    killed = fleet.canary(FAKE_CUT="after 5")
    fleet.forget_trials()
    return killed, go_on(fleet)


def lost_twice(fleet):
    fleet.canary(FAKE_CUT="after 5")
    fleet.forget_trials()
    killed = fleet.run("canary", "-e", f"rollout={fleet.rollout()}", FAKE_CUT="after 4")
    fleet.forget_trials()
    return killed, go_on(fleet)


def too_little_left(fleet):
    """What is left of the trials would not outlast the bake."""
    killed = fleet.canary(FAKE_CUT="after 5")
    fleet.shorten_trials(30)
    return killed, go_on(fleet)


def somebody_else(fleet):
    killed = fleet.canary(FAKE_CUT="after 5")
    fleet.change("h1", release="0.0.9", transaction=None)
    return killed, go_on(fleet)


def bake_unwatched(fleet):
    killed = fleet.canary("-e", "bake=1", FAKE_CUT="after 5")
    return killed, go_on(fleet)


MOMENTS = [("h1", "apply"), ("h1", "applied"), ("h2", "applied"), ("h1", "keep"), ("h2", "kept")]
BACK_MOMENTS = [("h1", "back"), ("h1", "went back"), ("h2", "back")]
SCENARIOS = {
    "not cut": uncut("good"),
    "not cut, bad": uncut("bad", h1={"restarts": 3}),
    **{f"{when} {number}": cut("good", when, number) for when, number in CUTS},
    **{f"bad, {when} {n}": cut("bad", when, n) for when, n in BACK_CUTS},
    **{f"{host} {moment}": killed_by(host, moment) for host, moment in MOMENTS},
    "lost for long": lost_for_long,
    "lost twice": lost_twice,
    "too little left": too_little_left,
    "somebody else": somebody_else,
    "bake unwatched": bake_unwatched,
}


def test_steps_are_those_that_are_cut(after):
    good, _ = after("not cut")
    bad, _ = after("not cut, bad")
    assert good.steps() == len(GOOD)
    assert bad.steps() == len(BAD)


@pytest.mark.parametrize(("when", "number"), CUTS, ids=lambda part: str(part))
def test_cut_rollout_ends_as_an_uncut_one(after, when, number):
    fleet, resumed = after(f"{when} {number}")
    if (when, number) == ("after", len(GOOD)):
        assert resumed.says("is over: rollout of 0.1.1 done")
    else:
        assert resumed.code == 0, resumed.output
    assert fleet.applies() == dict.fromkeys(fleet.hosts, 1)
    assert fleet.releases() == dict.fromkeys(fleet.hosts, NEW)
    assert fleet.waiting() == []
    assert fleet.journal("SELECT state FROM rollouts") == [("done",)]
    assert fleet.waves_in_order()


@pytest.mark.parametrize(("when", "number"), BACK_CUTS, ids=lambda part: str(part))
def test_cut_way_back_is_gone_to_its_end(after, when, number):
    fleet, resumed = after(f"bad, {when} {number}")
    assert resumed.code == 2, resumed.output
    assert fleet.touched() == ["h1", "h2"]
    assert fleet.applies() == {"h1": 1, "h2": 1, "h3": 0, "h4": 0}
    assert fleet.releases() == dict.fromkeys(fleet.hosts, OLD)
    assert fleet.journal("SELECT state FROM rollouts") == [("back",)]
    assert fleet.journal("SELECT digest FROM denied") == [(fleet.digest,)]


@pytest.mark.parametrize(("host", "moment"), MOMENTS)
def test_controller_that_dies_while_a_host_acts_is_followed_by_one_that_asks_it(
    after, host, moment
):
    fleet, (killed, resumed) = after(f"{host} {moment}")
    assert killed.code == -9
    assert resumed.code == 0, resumed.output
    assert fleet.applies() == dict.fromkeys(fleet.hosts, 1)
    assert fleet.releases() == dict.fromkeys(fleet.hosts, NEW)
    assert fleet.waves_in_order()


def test_bake_begins_anew_where_nobody_watched(after):
    """Killed after the hosts were changed: the one that follows bakes them, though it changes none of them."""
    _, (_, resumed) = after("bake unwatched")
    first = resumed.output.partition("PLAY [Change a wave]")[2].partition("PLAY [Change a wave]")[0]
    assert "Pausing for" in first
    assert "TASK [Keep the release]" in first


def test_wave_that_had_passed_is_not_judged_again(after):
    fleet, resumed = after("after 7")
    assert fleet.journal("SELECT wave FROM verdicts ORDER BY id") == [(1,), (2,)]
    assert resumed.output.count("TASK [tcmicro_gate : Judge the wave]") == 1


def test_hosts_that_went_back_meanwhile_are_changed_once_more(after):
    fleet, (_, resumed) = after("lost for long")
    assert resumed.code == 0
    assert fleet.applies() == {"h1": 2, "h2": 2, "h3": 1, "h4": 1}
    assert fleet.journal("SELECT retries FROM hosts ORDER BY place") == [(1,), (1,), (0,), (0,)]
    assert fleet.journal("SELECT digest FROM denied") == []


def test_trial_that_is_too_short_to_be_judged_is_begun_anew(after):
    fleet, (_, resumed) = after("too little left")
    assert resumed.code == 0
    assert fleet.applies() == {"h1": 2, "h2": 2, "h3": 1, "h4": 1}
    assert fleet.releases() == dict.fromkeys(fleet.hosts, NEW)


def test_second_loss_is_a_failure(after):
    fleet, (_, resumed) = after("lost twice")
    assert resumed.code == 2
    assert resumed.says("it went back a second time while nobody watched")
    assert fleet.touched() == ["h1", "h2"]
    assert fleet.releases() == dict.fromkeys(fleet.hosts, OLD)


def test_host_that_somebody_else_changed_stops_everything_untouched(after):
    fleet, (_, resumed) = after("somebody else")
    assert resumed.code == 2
    assert resumed.says("h1: it was applied and has something else (0.0.9)")
    assert resumed.says("playbooks/rollback.yml -e rollout=")
    assert fleet.state("h1")["release"] == "0.0.9"
    assert fleet.waiting() == ["h2"]
    assert fleet.touched() == ["h1", "h2"]
