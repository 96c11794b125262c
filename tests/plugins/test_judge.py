"""A wave is judged by numbers: what must be found is found, silence is no consent, and a failure stays."""

from __future__ import annotations

import random

import pytest
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.judge.judge import (
    judge,
    judge_invariants,
    reasons,
    table,
)
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.judge.lattice import Outcome, worst
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.judge.specs import NoData
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.plugins.looks import UNREACHABLE
from tests.plugins.recorded import LEVELS, RATES, evidence, shipped

GATES = shipped()
DENIED = {"denied_ingress": 1.0, "denied_egress": 1.0}
ORDER = list(Outcome)


def twice(factor):
    return dict.fromkeys(DENIED, factor)


def verdict(*factors, previous=None, **fields):
    return judge(evidence(*factors, **fields), GATES, previous)


def failed(found, host=None):
    return {f.metric for f in found.findings if f.outcome is Outcome.FAIL and f.host == host}


def why_not(found):
    return dict(found.not_judged)


def test_wave_that_does_as_its_controls_passes():
    found = verdict()
    assert found.outcome is Outcome.PASS
    assert found.findings == ()
    assert set(why_not(found)) == {
        "growth of the agent's memory",
        "connections to the wave that nobody answers",
        "would be denied",
        "would be allowed",
        "refused of the share",
        "live flows cut off",
    }


@pytest.mark.parametrize(
    ("name", "metric"),
    [
        ("denied_ingress", "denied packets"),
        ("failsafe", "packets kept open by the failsafe"),
        ("unanswered_egress", "unanswered connections"),
        ("tcp_retransmits", "retransmissions"),
        ("agent_cpu_s", "CPU time of the agent"),
        ("tcp_rtt_us", "round trips"),
    ],
)
def test_what_doubles_on_the_wave_alone_fails(name, metric):
    found = verdict({name: 2.0})
    assert failed(found) == {metric}
    assert found.latched
    assert found.document()["findings"][0]["numbers"]["p"] < 0.001


def test_what_doubles_everywhere_does_not_matter():
    case = evidence(twice(2.0))
    for n, name in enumerate(case.controls):
        case.after[name].update(evidence(twice(2.0), wave=n + 1).after[f"c{n}"])
    assert judge(case, GATES).outcome is Outcome.PASS


def test_what_falls_is_not_worse():
    assert verdict({**twice(0.1), "agent_cpu_s": 0.2}).outcome is Outcome.PASS


def test_difference_that_is_certain_and_small_does_not_matter():
    assert verdict(twice(1.1)).outcome is Outcome.PASS


def test_one_host_that_is_far_off_fails_alone():
    found = verdict(hosts={"c3": twice(4.0)})
    assert failed(found, "c3") == {"denied packets"}
    assert failed(found) == set()
    assert "alone" in reasons(found)[0]


def test_leak_is_seen_by_its_slope():
    case = evidence(bake_s=1800)
    for name in case.hosts:
        for sample in case.after[name]["samples"]["samples"]:
            sample["values"]["agent_rss_bytes"] += 250_000 * sample["t"] / 60
    found = judge(case, GATES)
    assert failed(found) == {"growth of the agent's memory"}
    assert "a minute more" in reasons(found)[0]


def suspicious(extension, fifth=0.98):
    """Four of five hosts are worse than all controls, the fifth is among them: too little to fail at once."""
    off = {f"c{n}": twice(1.4) for n in range(4)} | {"c4": twice(fifth)}
    return evidence(hosts=off, extension=extension)


def test_suspicion_asks_for_another_bake_and_then_decides():
    first = judge(suspicious(0), GATES)
    assert first.outcome is Outcome.INCONCLUSIVE
    assert "bake once more" in reasons(first)[0]
    assert 0.005 < first.findings[0].numbers["p"] < 0.02
    assert judge(suspicious(1), GATES, first.document()).outcome is Outcome.PASS
    assert judge(suspicious(1, fifth=1.3), GATES, first.document()).outcome is Outcome.FAIL


def test_failure_stays_though_the_numbers_come_back():
    first = verdict(twice(3.0))
    later = verdict(previous=first.document(), extension=1)
    assert later.outcome is Outcome.FAIL
    assert later.latched
    assert reasons(later) == reasons(first)


def test_failure_of_an_early_look_stays():
    early = evidence()
    early.after["c1"] = UNREACHABLE
    broken = judge_invariants(early, GATES).document()
    assert verdict(previous=broken).outcome is Outcome.FAIL


def test_what_was_only_doubtful_does_not_stay():
    first = judge(suspicious(0), GATES)
    assert verdict(previous=first.document(), extension=1).outcome is Outcome.PASS


# --- silence


def silence(case, *hosts):
    for name in hosts:
        case.after[name]["samples"]["samples"] = []
    return case


def test_host_that_is_silent_while_its_controls_report_fails():
    found = judge(silence(evidence(), "c2"), GATES)
    assert "denied packets" in failed(found, "c2")


def test_everybody_silent_is_a_fault_of_ours():
    case = evidence()
    for look in case.before.values():
        look["samples"]["samples"] = []
    found = judge(silence(case, *case.hosts, *case.controls), GATES)
    assert found.outcome is Outcome.ERROR
    assert {f.text for f in found.findings} == {
        "nobody reports it",
        "nobody reports it, and nobody did before",
    }


def test_wave_that_falls_silent_without_controls_fails():
    found = judge(silence(evidence(wave=2, controls=0), "c0", "c1"), GATES)
    assert found.outcome is Outcome.FAIL


def test_most_controls_silent_is_inconclusive():
    case = evidence()
    found = judge(silence(case, *case.controls[:12]), GATES)
    assert found.outcome is Outcome.INCONCLUSIVE
    assert "only 8 of 20 controls" in " ".join(reasons(found))


def test_unknown_time_before_is_inconclusive():
    case = evidence()
    case.before["c0"]["samples"]["samples"] = []
    found = judge(case, GATES)
    assert found.outcome is Outcome.INCONCLUSIVE
    assert "before the change is not known" in " ".join(reasons(found))


def test_what_was_recorded_before_may_be_asked_for_afterwards():
    """Nobody noted when the change began: the five minutes before the bake are left out."""
    case = evidence(twice(2.0))
    for name, look in case.before.items():
        after = case.after[name]["samples"]
        for sample in after["samples"]:
            sample["t"] += 300
        after["now"] += 300
        after["samples"][:0] = look.pop("samples")["samples"]
    assert failed(judge(case, GATES)) == {"denied packets"}


def test_controls_may_be_looked_at_once():
    case = evidence(twice(2.0))
    for name in case.controls:
        earlier = case.before.pop(name)["samples"]["samples"]
        case.after[name]["samples"]["samples"][:0] = earlier
    assert failed(judge(case, GATES)) == {"denied packets"}


def test_release_that_records_nothing_is_said_not_to_be_judged():
    case = evidence()
    for look in (*case.before.values(), *case.after.values()):
        look["samples"] = None
    found = judge(case, GATES)
    assert found.outcome is Outcome.PASS
    assert why_not(found)["denied packets"] == "no release here records samples"
    assert why_not(found)["agent memory"] == "no release here records samples"


def test_metric_that_is_new_with_the_release_is_not_compared():
    case = evidence()
    for looks in (case.before, case.after):
        for name in looks:
            if looks is case.before or name in case.controls:
                for sample in looks[name]["samples"]["samples"]:
                    del sample["values"]["failsafe"]
    found = judge(case, GATES)
    assert found.outcome is Outcome.PASS
    assert "does not record it" in why_not(found)["packets kept open by the failsafe"]


def test_metric_that_the_release_lost_fails():
    case = evidence()
    for name in case.hosts:
        for sample in case.after[name]["samples"]["samples"]:
            del sample["values"]["failsafe"]
    assert failed(judge(case, GATES), "c0") == {"packets kept open by the failsafe"}


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"controls": 0}, "no controls"),
        ({"wave": 1, "controls": 5}, "1 hosts of the wave against 5 controls cannot show anything"),
        ({"bake_s": 60}, "needs a bake of 120 s, not 60"),
    ],
)
def test_what_a_wave_cannot_show_is_said(fields, says):
    found = verdict(twice(3.0), **fields)
    assert found.outcome is Outcome.PASS
    assert why_not(found)["denied packets"] == says
    case = evidence(**fields)
    assert f"{'not judged':<16} denied packets: {says}" in table(case, found)


def test_quiet_hosts_are_not_held_against_a_wave():
    case = evidence()
    for look in (*case.before.values(), *case.after.values()):
        for sample in look["samples"]["samples"]:
            sample["values"]["tcp_segments"] = sample["values"]["tcp_retransmits"] = 0
    found = judge(case, GATES)
    assert found.outcome is Outcome.PASS
    assert why_not(found)["retransmissions"] == "too few events to compare"


def test_traffic_that_ends_on_the_wave_alone_is_inconclusive():
    found = verdict({"tcp_segments": 0.0})
    assert found.outcome is Outcome.INCONCLUSIVE
    assert "no events any more" in " ".join(reasons(found))


@pytest.mark.parametrize("found", ["silent", "idle"])
def test_host_without_connections_is_not_judged_by_them_and_that_is_said(found):
    case = evidence()
    for sample in case.after["c3"]["samples"]["samples"]:
        for name in ("tcp_rtt_us", "tcp_rtt_measured"):
            if found == "silent":
                del sample["values"][name]
            else:
                sample["values"][name] = 0
    verdict = judge(case, GATES)
    assert verdict.outcome is Outcome.PASS
    assert why_not(verdict)["round trips"] == "too little of it on c3"


def test_round_trips_of_one_host_stand_out():
    found = verdict(hosts={"c2": {"tcp_rtt_us": 2.5}})
    assert [(f.metric, f.host) for f in found.findings] == [("round trips", "c2")]
    assert found.outcome is Outcome.FAIL


def test_release_that_measures_round_trips_first_is_not_judged_by_them():
    case = evidence()
    known = [*case.before.values(), *(case.after[name] for name in case.controls)]
    for sample in (sample for look in known for sample in look["samples"]["samples"]):
        del sample["values"]["tcp_rtt_us"]
    found = judge(case, GATES)
    assert found.outcome is Outcome.PASS
    assert why_not(found)["round trips"] == "the release before does not record it"


def test_error_of_another_source_is_an_error():
    found = verdict(source_error="prometheus at p: timed out")
    assert found.outcome is Outcome.ERROR
    assert reasons(found) == ["wave: samples: prometheus at p: timed out"]


def test_answer_that_is_no_samples_document_is_an_error():
    case = evidence()
    case.after["c0"]["samples"] = {"now": "late"}
    assert judge(case, GATES).outcome is Outcome.ERROR


# --- properties

FACTORS = st.dictionaries(
    st.sampled_from(sorted([*RATES, *LEVELS])), st.floats(1.0, 5.0), max_size=3
)
COUNTS = {"agent_faults", "agent_hook_repairs", "events_lost", "packets", "tcp_segments"}
COUNTS |= {"tcp_rtt_measured"}


def rank(found):
    return ORDER.index(found.outcome)


@settings(max_examples=12)
@given(FACTORS, st.integers(0, 4), st.floats(1.0, 4.0), st.integers(0, 1))
def test_worse_numbers_never_improve_a_verdict(factors, number, more, extension):
    factors = {name: value for name, value in factors.items() if name not in COUNTS}
    host = f"c{number}"
    hosts = {f"c{n}": factors for n in range(5)}
    worse = {**hosts, host: {name: value * more for name, value in factors.items()}}
    sizes = {"extension": extension}
    assert rank(verdict(hosts=worse, **sizes)) <= rank(verdict(hosts=hosts, **sizes))


@settings(max_examples=12)
@given(FACTORS, st.randoms(use_true_random=False))
def test_order_of_hosts_does_not_matter(factors, order):
    case = evidence(hosts={"c1": factors, "c4": twice(1.3)})
    wanted = judge(case, GATES).document()
    names = [*case.before]
    order.shuffle(names)
    shuffled = evidence(hosts={"c1": factors, "c4": twice(1.3)})
    for looks in (shuffled.before, shuffled.after):
        for name in names:
            looks[name] = looks.pop(name)
    hosts, controls = list(case.hosts), list(case.controls)
    random.Random(order.random()).shuffle(hosts)
    object.__setattr__(shuffled, "hosts", tuple(hosts))
    object.__setattr__(shuffled, "controls", tuple(reversed(controls)))
    assert judge(shuffled, GATES).document() == wanted


@settings(max_examples=12)
@given(st.integers(0, 4), st.sets(st.sampled_from(sorted([*RATES, *LEVELS])), min_size=1))
def test_absent_data_never_pass(number, names):
    judged = {
        name
        for metric in GATES.metrics
        if metric.on_no_data is not NoData.SKIP
        for name in (*metric.values, *metric.per)
    }
    case = evidence(controls=20)
    for sample in case.after[f"c{number}"]["samples"]["samples"]:
        for name in names:
            del sample["values"][name]
    found = judge(case, GATES)
    assert (found.outcome is Outcome.PASS) == (not names & judged)


@given(st.lists(st.sampled_from(ORDER)))
def test_the_worst_wins(outcomes):
    assert worst(outcomes) is next((o for o in ORDER if o in outcomes), Outcome.PASS)
