"""A rollout that may not start, one that is planned, and what is said at its end."""

from __future__ import annotations

import pytest
from ansible_collections.tcmicro.fleet.plugins.plugin_utils import rollout

from tests.plugins.looks import UNREACHABLE, look, upgraded

HOSTS = ["db1", "web1", "web2"]


def seen(**changed):
    return {**{host: look() for host in HOSTS}, **changed}


def test_plan_orders_hosts_by_name():
    plan = rollout.plan(seen(), HOSTS, [50, 100], 0)
    assert plan.waves == (2, 1)
    assert plan.wave_of() == {"db1": 1, "web1": 1, "web2": 2}
    assert plan.table("0.1.1", 10)[1:] == ["wave 1: db1, web1", "wave 2: web2"]


def test_host_without_contact_refuses_the_rollout():
    with pytest.raises(rollout.RolloutError) as refusal:
        rollout.plan(seen(db1=UNREACHABLE), HOSTS, [100], 0)
    assert "1 host cannot take part" in str(refusal.value)
    assert "db1: no contact" in str(refusal.value)
    assert "-e allow_missing=1" in str(refusal.value)


def test_host_that_was_not_seen_at_all_is_missing():
    with pytest.raises(rollout.RolloutError, match="web2: nothing was heard from it"):
        rollout.plan({"db1": look(), "web1": look()}, HOSTS, [100], 0)


def test_missing_hosts_are_left_out_when_allowed():
    plan = rollout.plan(seen(db1=UNREACHABLE), HOSTS, [100], 1)
    assert plan.ready == ("web1", "web2")
    assert list(plan.missing) == ["db1"]


def test_nobody_left_is_refused():
    with pytest.raises(rollout.RolloutError, match="no host can take part"):
        rollout.plan({}, HOSTS, [100], 3)


@pytest.mark.parametrize(("value", "number"), [(10, 10), ("10", 10), (0, 0)])
def test_numbers_may_come_as_text(value, number):
    assert rollout.whole_number("bake", value, least=0) == number


@pytest.mark.parametrize("value", ["soon", -1, "-1", 1.5, True, None, ""])
def test_other_values_are_refused(value):
    with pytest.raises(rollout.RolloutError, match="bake: .* whole number from 0"):
        rollout.whole_number("bake", value, least=0)


GROUPS = {
    "tcmicro_ready": HOSTS,
    "tcmicro_wave_1": ["db1"],
    "tcmicro_wave_2": ["web1", "web2"],
    "tcmicro_touched": HOSTS,
    "tcmicro_passed": ["db1"],
}


def hostvars(**after):
    verdict = {"reasons": ["web1: 2 restarts in 10 s, allowed 0"]}
    return {
        host: {
            "tcmicro_gate_before": look(),
            "tcmicro_gate_verdict": {"reasons": []} if host == "db1" else verdict,
            "tcmicro_rollback_after": after.get(host, look()),
        }
        for host in HOSTS
    }


def said(groups=GROUPS, variables=None):
    return rollout.summary(rollout.course(groups, variables or hostvars(), "0.1.1"))


def test_waves_are_read_from_groups():
    assert rollout.sizes(GROUPS) == [1, 2]
    assert rollout.sizes({}) == [1]


def test_newest_wave_goes_back_first():
    assert rollout.sizes_back(GROUPS) == [2, 1]
    assert rollout.sizes_back({**GROUPS, "tcmicro_touched": ["db1"]}) == [1]


def test_complete_needs_every_host_to_have_passed():
    assert not rollout.complete(GROUPS)
    assert not rollout.complete({})
    assert rollout.complete({**GROUPS, "tcmicro_passed": HOSTS})


def test_summary_says_why_and_where_and_who():
    assert said() == (
        "canary of 0.1.1 stopped in wave 2 of 2 by the gate: web1: 2 restarts in 10 s, allowed 0; "
        "touched: db1, web1, web2; restored to 0.1.0: db1, web1, web2; untouched: 0 hosts"
    )


def test_summary_counts_who_was_left_alone():
    groups = {**GROUPS, "tcmicro_touched": ["db1"], "tcmicro_passed": []}
    assert "wave 1 of 2" in said(groups)
    assert said(groups).endswith("untouched: 2 hosts")


def test_summary_never_assumes_that_a_host_is_restored():
    text = said(variables=hostvars(web1=UNREACHABLE, web2=upgraded()))
    assert "restored to 0.1.0: db1;" in text
    assert "NOT restored: web1 (no contact" in text
    assert "web2 (it runs release 0.1.1, wanted 0.1.0)" in text


def test_summary_without_a_verdict_does_not_invent_one():
    variables = hostvars()
    for host in HOSTS:
        del variables[host]["tcmicro_gate_verdict"]
    assert "did not come to a verdict" in said(variables=variables)


def test_summary_of_success():
    assert said({**GROUPS, "tcmicro_passed": HOSTS}).startswith("rollout of 0.1.1 done: 3 hosts")
