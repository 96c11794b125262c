"""A rollout that may not start, and one that is planned."""

from __future__ import annotations

import pytest
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.planner import plan as rollout

from tests.plugins.looks import UNREACHABLE, look

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
