"""The simulation behind `make bench-rollout`: its fleet is the model it claims to be, its judge the shipped one."""

from __future__ import annotations

import numpy as np
import pytest

from tests.bench_rollout import fleet, rollouts
from tests.bench_rollout.__main__ import DENIED, SCENARIOS, figure, once
from tests.bench_rollout.fleet import Fault, Host
from tests.bench_rollout.rollouts import Run, Scenario, Share


def test_noise_has_the_spread_and_memory_of_the_model():
    noise = fleet.noise(np.random.default_rng(1), 4000, 20)
    assert noise.std() == pytest.approx(fleet.WITHIN_SD, rel=0.03)
    assert noise[:, 0].std() == pytest.approx(fleet.WITHIN_SD, rel=0.05)
    after, before = noise[:, 1:].ravel(), noise[:, :-1].ravel()
    assert np.corrcoef(after, before)[0, 1] == pytest.approx(fleet.RHO, abs=0.02)


def test_hosts_differ_as_the_model_says():
    rng = np.random.default_rng(2)
    looks = [Host(rng, 10, 10, Fault(), n).before() for n in range(800)]
    last = [look["samples"]["samples"][-1]["values"]["unanswered_egress"] for look in looks]
    spread = np.hypot(fleet.BETWEEN_SD, fleet.WITHIN_SD)
    assert np.log(last).std() == pytest.approx(spread, rel=0.08)


def test_fault_begins_with_the_change_and_on_its_hosts_only():
    def rise(number):
        shown = Host(np.random.default_rng(3), 10, 10, Fault({"unanswered": 8.0}, 1), number)
        before, after = shown.before(), shown.after(10)
        return [
            look["samples"]["samples"][-1]["values"]["unanswered_egress"]
            for look in (before, after)
        ]

    assert rise(0)[0] == rise(1)[0]
    assert rise(0)[1] == pytest.approx(8 * rise(1)[1])


def test_wilson_interval_is_that_of_the_book():
    low, high = Share(8, 10).interval()
    assert (low, high) == (pytest.approx(0.4902, abs=1e-4), pytest.approx(0.9433, abs=1e-4))
    assert Share(0, 500).interval()[0] == pytest.approx(0.0, abs=1e-12)


def test_same_seed_is_the_same_rollout():
    scenario = Scenario("", 0.0, [(3, 20)], 10, Fault({"denied": 1.5}), DENIED)
    assert once(scenario, 7) == once(scenario, 7)


def test_shipped_gates_find_what_is_plain_and_let_pass_what_is_not_there():
    plain = Scenario("", 0.0, [(5, 20)], 10, Fault({"denied": 4.0}), DENIED)
    assert (DENIED, "wave") in once(plain, 1).failed
    assert sum(bool(once(Scenario("", 0.0, [(5, 20)], 10), seed).failed) for seed in range(5)) <= 1


def test_only_what_the_right_metric_found_counts_as_found():
    scenario = next(s for s in SCENARIOS if s.metric == DENIED)
    right, wrong = frozenset({(DENIED, "host")}), frozenset({("retransmissions", "wave")})
    found = figure(scenario, [Run(right, False), Run(wrong, True), Run(frozenset(), False)], 1)
    assert (found["value"], found["baked_again"]) == (0.3333, 0.3333)


def test_gate_file_of_the_simulation_is_the_one_that_is_shipped(root):
    assert root / "roles/tcmicro_gate/files/gates.yml" == rollouts.GATES
