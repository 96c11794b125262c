"""L1, L3 and L4: limits, what peers see, what a staged policy decides otherwise."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.judge.judge import judge, reasons
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.judge.lattice import Outcome
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.judge.staged import figures

from tests.plugins.recorded import evidence, shipped

GATES = shipped()
ADDRESSES = {f"c{n}": (f"10.0.0.{n}",) for n in range(5)}
UNANSWERED = "connections to the wave that nobody answers"


def said(case):
    return " ".join(reasons(judge(case, GATES)))


def alone(factors):
    """One host without controls, so that only limits judge it."""
    return evidence(factors, wave=1, controls=0)


# --- L1


@pytest.mark.parametrize(
    ("name", "factor", "says"),
    [
        ("agent_rss_bytes", 8, "agent memory: 3.2e+08 in 6 samples in a row, allowed 2.68435e+08"),
        ("agent_cpu_s", 30, "agent CPU: 0.3 in 6 samples in a row, allowed 0.2"),
        ("occupancy", 9, "session tables: 0.9 in 6 samples in a row, allowed 0.8"),
        (
            "denied_ingress",
            200,
            "share of packets denied: 1.001 in 6 samples in a row, allowed 0.5",
        ),
    ],
)
def test_limit_that_is_exceeded_fails(name, factor, says):
    found = judge(alone({name: factor}), GATES)
    assert found.outcome is Outcome.FAIL
    assert reasons(found) == [f"c0: {says}"]


def test_limit_that_is_kept_is_no_finding():
    assert judge(alone({"occupancy": 7.9}), GATES).findings == ()


@pytest.mark.parametrize("name", ["agent_faults", "agent_hook_repairs"])
def test_one_event_is_one_too_many(name):
    case = alone({})
    case.after["c0"]["samples"]["samples"][-1]["values"][name] += 1
    assert "1, allowed 0" in said(case)


def test_a_few_samples_over_a_limit_do_not_matter():
    case = alone({})
    for sample in case.after["c0"]["samples"]["samples"][-5:]:
        sample["values"]["occupancy"] = 1.0
    assert judge(case, GATES).outcome is Outcome.PASS


def test_host_that_was_over_before_is_said_not_to_be_judged():
    case = alone({"occupancy": 9})
    for sample in case.before["c0"]["samples"]["samples"]:
        sample["values"]["occupancy"] = 0.85
    found = judge(case, GATES)
    assert found.outcome is Outcome.PASS
    assert ("session tables", "c0 was over 0.8 before the change already") in found.not_judged


def test_samples_that_end_during_the_bake_are_silence():
    case = alone({})
    del case.after["c0"]["samples"]["samples"][-3:]
    assert "agent memory: it does not report it" in said(case)


# --- L3


def observed(*, worse=0, others_too=False, before=True, **fields):
    """So many controls reach the wave worse than before; every one has 20 connections to it and 20 to the rest."""
    case = evidence(addresses=ADDRESSES, **fields)
    for n, name in enumerate(case.controls):
        lost = 10 if n < worse else 0
        peers = [
            {"address": "10.0.0.1", "opened": 20, "unanswered": lost},
            {"address": "10.9.9.9", "opened": 20, "unanswered": lost if others_too else 0},
        ]
        case.after[name]["samples"]["peers"] = peers
        if before:
            calm = [{**peer, "unanswered": 0} for peer in peers]
            case.before[name]["samples"]["peers"] = calm
    return case


@pytest.mark.parametrize(
    ("worse", "outcome"),
    [(0, Outcome.PASS), (5, Outcome.PASS), (7, Outcome.INCONCLUSIVE), (12, Outcome.FAIL)],
)
def test_peers_that_lose_the_wave_count_once_each(worse, outcome):
    assert judge(observed(worse=worse), GATES).outcome is outcome


def test_suspicion_of_peers_is_decided_after_another_bake():
    assert judge(observed(worse=7, extension=1), GATES).outcome is Outcome.PASS
    assert judge(observed(worse=9, extension=1), GATES).outcome is Outcome.FAIL


def test_what_peers_lose_everywhere_is_not_the_waves():
    assert judge(observed(worse=20, others_too=True), GATES).outcome is Outcome.PASS


def test_peers_asked_only_afterwards_prove_nothing():
    found = judge(observed(worse=20, before=False), GATES)
    assert found.outcome is Outcome.PASS
    assert UNANSWERED in dict(found.not_judged)


def test_reason_has_the_numbers():
    text = said(observed(worse=12))
    assert "12 of 20 controls reach the wave worse than before, 0 better (p 0.00024)" in text


# --- L4


def staged(expected=(), **counted):
    way = {"agree_allow": 9, "agree_deny": 9, "allow_to_deny": 0, "deny_to_allow": 0, **counted}
    case = evidence(wave=1, controls=0, expected=tuple(expected))
    for looks in (case.before, case.after):
        policy = looks["c0"]["status"]["policy"]
        policy["staged"] = {
            "comparisons": {"ingress": way, "egress": {**way, **dict.fromkeys(way, 0)}}
        }
    case.after["c0"]["differences"] = [
        {
            "direction": "ingress",
            "protocol": "tcp",
            "port": 443,
            "peer": "web",
            "live": {"verdict": "allow"},
            "staged": {"verdict": "deny"},
            "flows": 4,
        }
    ]
    return case


def test_staged_policy_that_decides_alike_passes():
    assert judge(staged(), GATES).outcome is Outcome.PASS


def test_flow_that_would_be_cut_and_nobody_expected_fails():
    assert "would be denied: 4 new flows that nobody expected, allowed 0" in said(
        staged(allow_to_deny=4)
    )


def test_flow_that_would_be_opened_fails():
    assert "would be allowed: 2 new flows" in said(staged(deny_to_allow=2))


@pytest.mark.parametrize(
    "expected",
    [{"peer": "web"}, {"change": "allow_to_deny", "port": "443"}, {"direction": "ingress"}],
)
def test_expected_difference_is_taken_off(expected):
    assert judge(staged([expected], allow_to_deny=4), GATES).outcome is Outcome.PASS
    assert "1 new flows" in said(staged([expected], allow_to_deny=5))


def made_live(before, after, **fields):
    """So many packets of live flows had been refused on c0 before a policy was made live, and after its bake."""
    case = evidence(wave=1, controls=0)
    for looks, packets in ((case.before, before), (case.after, after)):
        ways = {"ingress": {"revoked": packets}, "egress": {"revoked": 2}}
        looks["c0"] = copy.deepcopy(looks["c0"])
        looks["c0"]["status"]["counters"] = ways
        looks["c0"]["status"]["policy"]["digest"] = "cd34"
    return replace(case, digests={"c0": "cd34"}, **fields)


def test_live_flow_that_is_cut_off_fails_the_policy():
    assert "live flows cut off: 3 packets of live flows were refused, allowed 0" in said(
        made_live(7, 10)
    )
    assert judge(made_live(7, 7), GATES).outcome is Outcome.PASS


@pytest.mark.parametrize(
    ("case", "why"),
    [
        (made_live(7, 10, expected=({"peer": "web"},)), "the policy is meant to close something"),
        (made_live(7, 3), "c0 did not count it through"),
        (evidence(wave=1, controls=0), "no policy was made live"),
    ],
)
def test_live_flows_are_not_judged_where_that_says_nothing(case, why):
    found = judge(case, GATES)
    assert found.outcome is Outcome.PASS
    assert ("live flows cut off", why) in found.not_judged


def shared(flows=1000, refused=10, *, others=10, **fields):
    """So many new flows were the staged policy's on c0, and 1,000 the live one's."""
    case = replace(staged(), **fields)
    for looks in (case.before, case.after):
        looks["c0"] = copy.deepcopy(looks["c0"])
    now = {
        "live": {"allowed": 2000 - others, "refused": 100 + others},
        "staged": {"allowed": 500 + flows - refused, "refused": 7 + refused},
    }
    case.after["c0"]["status"]["policy"]["staged"]["judged"] = now
    then = {"live": {"allowed": 1000, "refused": 100}, "staged": {"allowed": 500, "refused": 7}}
    return replace(case, began={"c0": {"judged": then}})


def test_share_that_is_refused_like_the_rest_passes():
    assert judge(shared(), GATES).findings == ()


def test_share_that_is_refused_more_than_the_rest_fails():
    text = "it refused 100 of 1000 flows that it judged, the live policy 10 of 1000 (p "
    assert text in said(shared(refused=100))


def test_tries_of_one_refused_connection_count_once():
    """Nine tries more are one or two connections."""
    assert judge(shared(flows=100, refused=9, others=0), GATES).outcome is not Outcome.FAIL


def test_suspicion_of_a_share_is_decided_after_another_round():
    case = shared(refused=60)
    assert judge(case, GATES).outcome is Outcome.INCONCLUSIVE
    assert judge(replace(case, extension=1), GATES).outcome is Outcome.PASS


@pytest.mark.parametrize("flows", [0, 19])
def test_share_of_too_few_flows_proves_nothing(flows):
    found = judge(shared(flows, refused=0), GATES)
    assert found.outcome is Outcome.PASS
    assert "c0 had too few new flows, needed 20 of each" in dict(found.not_judged).values()


def test_counters_that_began_anew_prove_nothing():
    assert "refused of the share" in dict(judge(shared(flows=-90, refused=0), GATES).not_judged)


def test_policy_that_is_meant_to_refuse_more_is_not_held_against_the_live_one():
    case = shared(refused=100, expected=({"change": "allow_to_deny", "port": 443},))
    found = judge(case, GATES)
    assert found.outcome is Outcome.PASS
    assert ("refused of the share", "the staged policy is meant to refuse more") in found.not_judged


def test_figures_of_a_round_are_sums_over_the_wave():
    assert figures(shared(refused=100)) == {"flows": 1000, "refused": 100}
    assert figures(staged(allow_to_deny=4)) == {"flows": 22, "refused": 13}


@pytest.mark.parametrize("expected", [{"peer": "db"}, {"change": "deny_to_allow", "port": 443}])
def test_other_differences_are_not(expected):
    assert "4 new flows" in said(staged([expected], allow_to_deny=4))
