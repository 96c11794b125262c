"""The gate lets only pass what is known to be well."""

from __future__ import annotations

import pytest
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.gate import (
    Evidence,
    Outcome,
    judge,
    table,
    unwell,
)

from tests.plugins.looks import UNREACHABLE, look, upgraded


def evidence(after, before=None, failures=None):
    return Evidence("0.1.1", 10, {"web1": before or look()}, {"web1": after}, failures or {})


def verdict(after, before=None, failures=None):
    return judge(["web1"], evidence(after, before, failures))


def test_wave_that_is_well_passes():
    assert verdict(upgraded()).outcome is Outcome.PASS
    assert verdict(upgraded()).reasons == ()


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
    assert says in " ".join(reason.text for reason in found.reasons)


def test_restarts_before_the_change_are_not_held_against_it():
    assert verdict(upgraded(), look(service__restarts=5)).outcome is Outcome.PASS


def test_restarts_count_from_before_when_the_release_did_not_change():
    before, after = upgraded(service__restarts=5), upgraded(service__restarts=6)
    assert "1 restarts" in verdict(after, before).reasons[0].text


def test_settled_transaction_does_not_matter():
    settled = {"state": "reverted", "generation": 4}
    assert verdict(upgraded(status__transaction=settled)).outcome is Outcome.PASS


def test_lost_contact_fails():
    found = verdict(UNREACHABLE)
    assert found.outcome is Outcome.FAIL
    assert found.reasons[0].text == "no contact: ssh: connect to host db1 port 22: No route to host"


def test_silent_host_fails():
    nothing = Evidence("0.1.1", 10, {"web1": look()}, {}, {})
    assert judge(["web1"], nothing).outcome is Outcome.FAIL


def test_recorded_failure_fails_whatever_it_looks_like_now():
    found = verdict(upgraded(), failures={"web1": "release 0.1.1 does not run\nlong journal"})
    assert [reason.text for reason in found.reasons] == ["release 0.1.1 does not run"]


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
    found = judge(["web1"], Evidence("0.1.1", 10, {}, {"web1": upgraded()}, {}))
    assert found.outcome is Outcome.INCONCLUSIVE


def test_fail_outweighs_inconclusive():
    after = {"web1": upgraded(), "web2": UNREACHABLE}
    found = judge(["web1", "web2"], Evidence("0.1.1", 10, {"web2": look()}, after, {}))
    assert found.outcome is Outcome.FAIL
    assert {reason.outcome for reason in found.reasons} == {Outcome.FAIL, Outcome.INCONCLUSIVE}


def test_nobody_to_judge_is_an_error():
    assert judge([], Evidence("0.1.1", 10, {}, {}, {})).outcome is Outcome.ERROR


def test_table_has_a_line_per_host():
    lines = table(["web1"], verdict(upgraded(service__restarts=1)))
    assert lines[0].split(maxsplit=1) == ["web1", "fail: 1 restarts in 10 s, allowed 0"]
    assert lines[-1].split() == ["gate", "fail"]


def test_host_that_is_well_may_be_changed():
    assert unwell(look()) == []


@pytest.mark.parametrize(
    "info", [None, {}, UNREACHABLE, {"failed": True, "msg": "x"}, {"status": {"a": 1}}]
)
def test_host_of_which_little_is_known_may_not(info):
    assert unwell(info)
