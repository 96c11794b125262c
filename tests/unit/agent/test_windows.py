"""Rules with times: what is in force when, and the agent that sees to it by the host's clock."""

from __future__ import annotations

from dataclasses import replace

import pytest
from builders import bundle, rule
from fakes import CutError, CutStore
from hypothesis import given
from hypothesis import strategies as st

from tcmicro_agent import staging, tables, upkeep
from tcmicro_agent.config import Config
from tcmicro_agent.policy.bundle import digest
from tcmicro_agent.policy.model import Mode, Rule, Window
from tcmicro_agent.policy.windows import holds, in_force, instant, instants, phase, written
from tcmicro_agent.reconcile import Agent
from tcmicro_agent.store import Store
from tcmicro_agent.trial import Share

NOW = 1_800_000_000  # what the fake clock says
COMPARE = Share()


def timed(uid: str, port: str, start: int | None = None, end: int | None = None) -> Rule:
    return replace(rule(uid, port), window=Window(start, end))


LATER = bundle(rule("p/ssh", "tcp/22"), timed("p/web", "tcp/80", NOW + 10, NOW + 20))
PLAIN = bundle(rule("p/ssh", "tcp/22"))


@pytest.fixture
def agent(kernel, clock, tmp_path) -> Agent:
    return Agent(kernel, CutStore(tmp_path, kernel), clock)


def ports(agent) -> set[int]:
    """The ports that rules of the live slot name."""
    slot = agent.observe().word.active
    keys = agent.kernel.maps["tcm_rules"]
    at = tables.SLOT_BYTE["tcm_rules"]
    return {int.from_bytes(key[8:10], "big") for key in keys if key[at] == slot}


def tick(agent) -> list[str]:
    """What the daemon does of it once a second."""
    return upkeep._restore(agent, Config())


# --- values ---


@given(st.integers(0, 2**33))
def test_time_is_read_as_it_is_written(seconds):
    assert instant(written(seconds)) == seconds


@pytest.mark.parametrize(
    "text",
    [
        "2026-12-01",
        "2026-12-01T08:00:00",
        "2026-12-01T08:00:00+01:00",
        "2026-12-01T08:00Z",
        "2026-13-01T08:00:00Z",
        "2026-02-29T08:00:00Z",
        "2026-12-01T24:00:00Z",
        "2026-12-01T23:59:60Z",
        "٢026-12-01T08:00:00Z",
        "2026-12-01T08:00:00Z\n",
        "1969-12-31T23:59:59Z",
        "now",
        "",
    ],
)
def test_other_times_are_refused(text):
    with pytest.raises(ValueError, match="not a time in UTC"):
        instant(text)


@pytest.mark.parametrize(
    ("window", "wanted"),
    [
        (Window(), [True, True, True]),
        (Window(start=NOW), [False, True, True]),
        (Window(end=NOW), [True, False, False]),
        (Window(NOW, NOW + 1), [False, True, False]),
    ],
)
def test_rule_holds_from_its_start_and_not_at_its_end(window, wanted):
    assert [holds(window, NOW + offset) for offset in (-0.5, 0, 1)] == wanted


TIMES = st.none() | st.integers(0, 20)
WINDOWS = st.lists(st.builds(Window, TIMES, TIMES), max_size=6)


@given(WINDOWS, st.integers(-1, 21), st.integers(-1, 21))
def test_same_phase_is_same_rules(found, one, other):
    policy = bundle(*(replace(rule(f"p/{n}", "any"), window=w) for n, w in enumerate(found)))
    assert [r.window for r in in_force(policy, one).rules] == [w for w in found if holds(w, one)]
    ends = instants(policy)
    if phase(ends, one) == phase(ends, other):
        assert in_force(policy, one) == in_force(policy, other)


# --- on a host ---


def test_rule_comes_and_goes_by_the_clock_under_one_digest(agent, clock):
    agent.apply(LATER)
    seen = []
    for _ in range(25):
        tick(agent)
        seen.append((ports(agent), agent.observe().live.generation))
        clock.pass_seconds(1)
    assert seen == [({22}, 1)] * 10 + [({22, 80}, 2)] * 10 + [({22}, 3)] * 5
    assert agent.observe().live.digest == digest(LATER)
    assert agent.store.books().confirmed.digest == digest(LATER)
    assert agent.store.books().previous is None


def test_agent_says_when_it_does(agent, clock):
    agent.apply(LATER)
    assert tick(agent) == []
    clock.pass_seconds(10)
    assert tick(agent) == [f"bundle {digest(LATER)[:12]} is live again, as generation 2"]
    assert tick(agent) == []


def test_policy_without_times_is_left_alone(agent, clock):
    agent.apply(PLAIN)
    clock.pass_seconds(10**6)
    assert tick(agent) == []
    assert agent.store.books().phases == {}


def test_the_same_bundle_again_changes_nothing_until_other_rules_hold(agent, clock):
    agent.apply(LATER)
    assert not agent.apply(LATER).changed
    clock.pass_seconds(10)
    assert agent.apply(LATER).changed
    assert not agent.apply(LATER).changed


def test_counter_of_a_rule_outlasts_its_times(agent, clock):
    agent.apply(LATER)
    number = agent.store.books().numbers["p/web"]
    clock.pass_seconds(30)
    tick(agent)
    agent.apply(LATER)
    assert agent.store.books().numbers["p/web"] == number


def test_another_agent_process_goes_on_where_the_one_before_was(agent, clock, kernel, tmp_path):
    agent.apply(LATER)
    clock.pass_seconds(10)
    tick(agent)
    heir = Agent(kernel, Store(tmp_path), clock)
    assert tick(heir) == []
    clock.pass_seconds(10)
    assert tick(heir)
    assert ports(heir) == {22}


def test_after_a_reboot_the_rules_of_that_time_hold(agent, clock, kernel):
    agent.apply(LATER)
    clock.pass_seconds(10)
    tick(agent)
    kernel.boot()
    clock.boot = "boot-2"
    clock.pass_seconds(10)
    assert tick(agent)
    assert ports(agent) == {22}
    assert tick(agent) == []


def test_clock_that_was_late_at_boot_is_followed_when_it_is_set(agent, clock, kernel):
    agent.apply(LATER)
    kernel.boot()
    clock.boot, clock.wall = "boot-2", 0.0
    tick(agent)
    assert ports(agent) == {22}
    clock.wall = NOW + 15.0
    tick(agent)
    assert ports(agent) == {22, 80}


def test_nothing_moves_while_a_change_waits_to_be_confirmed(agent, clock):
    agent.apply(PLAIN)
    pending = agent.apply(LATER, confirm_within=60).transaction
    clock.pass_seconds(10)
    assert tick(agent) == []
    agent.confirm(pending.id, pending.token)
    tick(agent)
    assert ports(agent) == {22, 80}


def test_policy_that_came_back_holds_the_rules_of_now(agent, clock):
    agent.apply(LATER)
    agent.apply(PLAIN, confirm_within=15)
    clock.pass_seconds(16)
    upkeep.settle(agent)
    tick(agent)
    assert agent.observe().live.digest == digest(LATER)
    assert ports(agent) == {22, 80}


def test_cut_anywhere_while_a_rule_expires_the_next_tick_completes_it(agent, clock, kernel):
    for writes in range(50):
        agent.apply(PLAIN)
        moved = replace(LATER.rules[1], window=Window(None, int(clock.wall) + 10))
        agent.apply(bundle(LATER.rules[0], moved))
        clock.pass_seconds(10)
        kernel.writes_left = writes
        try:
            tick(agent)
        except CutError:
            kernel.writes_left = None
            upkeep.settle(agent)
            tick(agent)
        else:
            break
        assert ports(agent) == {22}
        assert tick(agent) == []
    assert writes > 5
    kernel.writes_left = None


def test_staged_policy_is_built_anew_when_other_rules_hold_by_its_promotion(agent, clock):
    agent.apply(PLAIN)
    staging.stage(agent, LATER, COMPARE)
    staged = agent.observe().staged.generation
    clock.pass_seconds(10)
    assert tick(agent) == []
    outcome = staging.promote(agent)
    assert outcome.generation > staged
    assert ports(agent) == {22, 80}
    assert agent.observe().trial.slot is None
    assert tick(agent) == []


def test_staged_policy_whose_rules_hold_still_is_promoted_as_it_is(agent, clock):
    agent.apply(PLAIN)
    staging.stage(agent, LATER, COMPARE)
    staged = agent.observe().staged.generation
    clock.pass_seconds(9)
    assert staging.promote(agent).generation == staged
    assert ports(agent) == {22}


def test_ceiling_and_times_go_together(agent, clock):
    agent.apply(LATER)
    clock.pass_seconds(10)
    agent.restore(Mode.PROTECT)
    assert ports(agent) == {22, 80}
    assert agent.restore(Mode.PROTECT) is None
