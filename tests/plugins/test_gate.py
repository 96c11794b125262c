"""L0: only what is known to be well passes."""

from __future__ import annotations

import pytest
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.gate import unwell
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.judge.evidence import Evidence
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.judge.judge import (
    judge_invariants,
    reasons,
    table,
)
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.judge.lattice import Outcome

from tests.plugins.looks import UNREACHABLE, look, upgraded
from tests.plugins.recorded import shipped


def evidence(before, after, failures=None, **fields):
    fields = {"release": "0.1.1", "hosts": ("web1",), **fields}
    return Evidence(seconds=10, before=before, after=after, failures=failures or {}, **fields)


def judged(before, after, **fields):
    return judge_invariants(evidence(before, after, **fields), shipped())


def verdict(after, before=None, failures=None, **fields):
    return judged({"web1": before or look()}, {"web1": after}, failures=failures, **fields)


def test_wave_that_is_well_passes():
    assert verdict(upgraded()).outcome is Outcome.PASS
    assert verdict(upgraded()).findings == ()


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"service__restarts": 2}, "2 restarts in 10 s, allowed 0"),
        ({"service__active": False, "service__state": "failed (failed)"}, "the service is failed"),
        ({"status__agent__running": False}, "the agent does not run"),
        ({"status__agent__release": "0.1.0"}, "it runs release 0.1.0, wanted 0.1.1"),
        ({"status__datapath__loaded": False}, "the datapath is not loaded"),
        ({"status__datapath__interfaces": []}, "no interface is guarded"),
        (
            {"status__datapath__interfaces": [{"name": "eth0", "ingress": True, "egress": False}]},
            "eth0 is not guarded on egress",
        ),
        (
            {"status__datapath__interfaces": [{"name": "eth9", "ingress": True, "egress": True}]},
            "no longer guarded: eth0",
        ),
        ({"status__policy__digest": "cd34"}, "the policy is another"),
        ({"status__policy__generation": 4}, "generation 3 before, 4 now"),
        (
            {"status__transaction": {"state": "pending", "generation": 4}},
            "a policy change is pending",
        ),
        ({"status__drift": ["eth0: no program"]}, "the kernel differs"),
        ({"status": None, "problem": "tc-micro status failed"}, "tc-micro status failed"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_each_invariant_fails_the_wave(changes, says):
    found = verdict(upgraded(**changes))
    assert found.outcome is Outcome.FAIL
    assert says in " ".join(reasons(found))


def test_restarts_before_the_change_are_not_held_against_it():
    assert verdict(upgraded(), look(service__restarts=5)).outcome is Outcome.PASS


def test_restarts_count_from_before_when_the_release_did_not_change():
    before, after = upgraded(service__restarts=5), upgraded(service__restarts=6)
    assert "1 restarts" in verdict(after, before).findings[0].text


def test_settled_transaction_does_not_matter():
    settled = {"state": "reverted", "generation": 4}
    assert verdict(upgraded(status__transaction=settled)).outcome is Outcome.PASS


def test_lost_contact_fails():
    found = verdict(UNREACHABLE)
    assert found.outcome is Outcome.FAIL
    [finding] = found.findings
    assert finding.text == "no contact: ssh: connect to host db1 port 22: No route to host"


def test_silent_host_fails():
    assert judged({"web1": look()}, {}).outcome is Outcome.FAIL


def test_recorded_failure_fails_whatever_it_looks_like_now():
    found = verdict(upgraded(), failures={"web1": "release 0.1.1 does not run\nlong journal"})
    assert reasons(found) == ["web1: release 0.1.1 does not run"]


@pytest.mark.parametrize(
    "path",
    ["service", "status__policy", "status__datapath", "status__agent", "status__drift"],
)
def test_missing_data_never_passes(path):
    after = upgraded()
    *parents, last = path.split("__")
    place = after
    for name in parents:
        place = place[name]
    del place[last]
    assert verdict(after).outcome in (Outcome.INCONCLUSIVE, Outcome.FAIL)


def test_unknown_before_is_inconclusive():
    found = judged({}, {"web1": upgraded()})
    assert found.outcome is Outcome.INCONCLUSIVE


def test_fail_outweighs_inconclusive():
    after = {"web1": upgraded(), "web2": UNREACHABLE}
    found = judged({"web2": look()}, after, hosts=("web1", "web2"))
    assert found.outcome is Outcome.FAIL
    assert {finding.outcome for finding in found.findings} == {Outcome.FAIL, Outcome.INCONCLUSIVE}


def test_nobody_to_judge_is_an_error():
    assert judged({}, {}, hosts=()).outcome is Outcome.ERROR


def test_table_has_a_line_per_host():
    case = evidence({"web1": look()}, {"web1": upgraded(service__restarts=1)})
    lines = table(case, judge_invariants(case, shipped()))
    assert lines[0].split(maxsplit=1) == ["web1", "fail: 1 restarts in 10 s, allowed 0"]
    assert lines[-1].split() == ["gate", "fail"]


def test_release_must_be_the_one_before_where_none_is_wanted():
    assert verdict(look(), release="").outcome is Outcome.PASS
    assert verdict(upgraded(), release="").outcome is Outcome.FAIL


def test_wanted_bundle_must_rule_under_any_generation():
    after = upgraded(status__policy__digest="cd34", status__policy__generation=4)
    assert verdict(after, digests={"web1": "cd34"}).outcome is Outcome.PASS
    assert "wanted ef56" in reasons(verdict(after, digests={"web1": "ef56"}))[0]


def test_host_that_is_well_may_be_changed():
    assert unwell(look()) == []


@pytest.mark.parametrize(
    "info", [None, {}, UNREACHABLE, {"failed": True, "msg": "x"}, {"status": {"a": 1}}]
)
def test_host_of_which_little_is_known_may_not(info):
    assert unwell(info)


def test_lease_is_a_rollouts_own_and_keeps_others_out():
    leased = upgraded(status__transaction={"state": "leased", "generation": 4})
    assert unwell(leased) == ["a policy is under a lease (generation 4)"]
    assert verdict(leased).outcome is Outcome.PASS
