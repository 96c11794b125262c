"""A rollout stops where Ansible by itself would go on: who was touched and how it ended, in every such case."""

from __future__ import annotations

import signal
import time

import pytest
import yaml

from tests.rollout.fleet import CANARY, NEW, OLD, ROOT

FIRST, SECOND = ["h1", "h2"], ["h3", "h4"]
FREE = {"ANSIBLE_STRATEGY": "free"}
PINNED = {"ANSIBLE_STRATEGY": "host_pinned"}


def with_faults(faults, *words, **environment):
    def scenario(fleet):
        for host, fault in faults.items():
            fleet.script(host, **fault)
        return fleet.canary(*words, **environment)

    return scenario


def missing(change):
    """One host is not well before the rollout, and may be missing; another one is not well under the release."""

    def scenario(fleet):
        change(fleet)
        fleet.script("h1", restarts=3)
        return fleet.canary("-e", "allow_missing=1")

    return scenario


def lost_while_it_bakes(fleet):
    process = fleet.start("canary", *CANARY, "-e", "bake=6")
    fleet.until(lambda: fleet.applied() == FIRST, process)
    fleet.down("h2")
    return fleet.wait(process)


def signalled(number):
    def scenario(fleet):
        process = fleet.start("canary", *CANARY, "-e", "bake=60")
        fleet.until(lambda: fleet.applied() == FIRST, process)
        process.send_signal(number)
        if number == signal.SIGINT:
            press_again_if_lost(fleet, process)
        return fleet.wait(process)

    return scenario


def press_again_if_lost(fleet, process):
    """Ansible's handler raises, and what is raised while Python forks is ignored: nobody was interrupted."""
    end = time.monotonic() + 20
    while process.poll() is None and time.monotonic() < end:
        if "Exception ignored in" in (fleet.folder / "log").read_text():
            process.send_signal(signal.SIGINT)
            return
        time.sleep(0.2)


SCENARIOS = {
    "restarts": with_faults({"h1": {"restarts": 3}}),
    "restarts in the second wave": with_faults({"h4": {"restarts": 3}}),
    "apply fails on the first": with_faults({"h1": {"apply": "fail"}}),
    "apply fails on the last": with_faults({"h2": {"apply": "fail"}}),
    "apply fails on all": with_faults({host: {"apply": "fail"} for host in FIRST}),
    "lost while it is changed": with_faults({"h2": {"apply": "lost"}}),
    "first host lost while it is changed": with_faults({"h1": {"apply": "lost"}}),
    "lost while it bakes": lost_while_it_bakes,
    "keep fails": with_faults({"h1": {"keep": "fail"}}),
    "strategy free": with_faults({"h1": {"restarts": 3}}, **FREE),
    "strategy host_pinned": with_faults({"h1": {"restarts": 3}}, **PINNED),
    "unwell before": missing(lambda fleet: fleet.change("h4", loaded=False)),
    "unreachable before": missing(lambda fleet: fleet.down("h4")),
    "unwell before, none may be missing": lambda fleet: (
        fleet.change("h4", loaded=False),
        fleet.canary(),
    )[1],
    "waves of nobody": lambda fleet: fleet.canary("-e", "waves=[0,100]"),
    "waves of no hosts": lambda fleet: fleet.canary("-e", '{"waves": ["0 hosts", 100]}'),
    "SIGINT": signalled(signal.SIGINT),
    "SIGTERM": signalled(signal.SIGTERM),
    "SIGKILL": signalled(signal.SIGKILL),
}

ONE_WAVE = [
    "restarts",
    "apply fails on the first",
    "apply fails on the last",
    "apply fails on all",
    "keep fails",
    "strategy free",
    "strategy host_pinned",
]


@pytest.mark.parametrize("name", ONE_WAVE)
def test_wave_that_is_not_well_is_the_last(after, name):
    fleet, outcome = after(name)
    assert outcome.code == 2
    assert outcome.says("canary of 0.1.1 stopped in wave 1 of 2 by the gate")
    assert fleet.touched() == FIRST
    assert fleet.releases() == dict.fromkeys(fleet.hosts, OLD)
    assert fleet.waiting() == []


@pytest.mark.parametrize(
    ("name", "lost"),
    [
        ("lost while it is changed", "h2"),
        ("first host lost while it is changed", "h1"),
        ("lost while it bakes", "h2"),
    ],
)
def test_host_without_contact_stops_the_rollout_and_is_expected_back(after, name, lost):
    fleet, outcome = after(name)
    assert outcome.code == 2
    assert fleet.touched() == FIRST
    assert outcome.says(f"NOT reached: {lost} (no contact")
    assert outcome.says("back by itself by 20")
    assert fleet.waiting() == [lost]
    others = {host: release for host, release in fleet.releases().items() if host != lost}
    assert set(others.values()) == {OLD}


def test_failure_takes_back_earlier_waves_too_the_failing_host_first(after):
    fleet, outcome = after("restarts in the second wave")
    assert outcome.code == 2
    assert outcome.says("stopped in wave 2 of 2")
    assert fleet.touched() == fleet.hosts
    assert fleet.releases() == dict.fromkeys(fleet.hosts, OLD)
    assert fleet.went_back() == [["h4"], ["h3"], FIRST]


@pytest.mark.parametrize("name", ["unwell before", "unreachable before"])
def test_host_that_was_missing_before_disarms_no_stop(after, name):
    fleet, outcome = after(name)
    assert outcome.code == 2
    assert outcome.says("stopped in wave 1 of 2")
    assert fleet.touched() == FIRST
    assert fleet.releases() == dict.fromkeys(fleet.hosts, OLD)


@pytest.mark.parametrize(
    "name", ["unwell before, none may be missing", "waves of nobody", "waves of no hosts"]
)
def test_what_is_refused_touches_nobody(after, name):
    fleet, outcome = after(name)
    assert outcome.code == 2
    assert fleet.touched() == []


# 250: the interrupt met ansible-core between closing a worker process and forgetting it, and its own cleanup
# then fails with "process object is closed". -2: the first interrupt was lost, and the second one met no handler.
@pytest.mark.parametrize(
    ("name", "codes"), [("SIGINT", {99, 250, -2}), ("SIGTERM", {-15}), ("SIGKILL", {-9})]
)
def test_controller_that_ends_leaves_hosts_on_trial_only(after, name, codes):
    fleet, outcome = after(name)
    assert outcome.code in codes
    assert fleet.touched() == FIRST
    assert fleet.waiting() == FIRST
    assert fleet.journal("SELECT state FROM rollouts") == [("running",)]
    fleet.forget_trials()
    assert {fleet.expired(host)["release"] for host in fleet.hosts} == {OLD}


def test_denied_is_what_failed_and_not_what_lost_its_controller(after):
    for name, denied in (("restarts", True), ("keep fails", False), ("SIGKILL", False)):
        fleet, _ = after(name)
        assert fleet.journal("SELECT digest FROM denied") == [(fleet.digest,)] * denied


def keywords(found):
    """Every keyword of plays, blocks and tasks, wherever it stands."""
    if isinstance(found, dict):
        for key, value in found.items():
            yield key
            yield from keywords(value)
    elif isinstance(found, list):
        for value in found:
            yield from keywords(value)


@pytest.mark.parametrize("name", ["canary", "take_back"])
def test_nothing_in_the_plays_hides_a_failure_or_fails_a_batch(name):
    plays = yaml.safe_load((ROOT / f"playbooks/{name}.yml").read_text())
    tasks = [yaml.safe_load(p.read_text()) for p in (ROOT / "playbooks/tasks").glob("*.yml")]
    forbidden = {"rescue", "always", "any_errors_fatal", "max_fail_percentage", "force_handlers"}
    assert not forbidden & set(keywords([plays, tasks]))
    own = [play for play in plays if "hosts" in play]
    assert all(play["strategy"] == "ansible.builtin.linear" for play in own)


def test_release_reaches_everybody_with_three_calls_to_each_host(fleet):
    outcome = fleet.canary()
    assert outcome.code == 0
    assert fleet.releases() == dict.fromkeys(fleet.hosts, NEW)
    assert fleet.waiting() == []
    called = {host: [call["action"] for call in fleet.calls(host)] for host in fleet.hosts}
    hot, control = ["look", "apply", "keep"], ["look", "look"]
    baked = [*hot[:-1], "look", hot[-1]]  # the look of the planning is the one before the change
    assert called == {**dict.fromkeys(FIRST, baked), **dict.fromkeys(SECOND, [*control, *baked])}
    assert len(hot) == CALLS_PER_HOST


CALLS_PER_HOST = 3
