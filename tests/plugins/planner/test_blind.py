"""What a plan cannot detect is said with numbers."""

from __future__ import annotations

import pytest
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.planner.blind import (
    blind,
    bound,
    coverage,
)
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.planner.controls import controls

from tests.plugins.planner.fleets import fleet
from tests.plugins.planner.test_controls import waves_of


def said(hosts):
    waves = waves_of(hosts)
    return blind(waves, controls(waves, 7), coverage(waves))


@pytest.mark.parametrize(("clean", "percent"), [(3, 63), (5, 45), (10, 26), (25, 11), (50, 6)])
def test_clean_hosts_bound_the_share_of_failing_ones(clean, percent):
    assert round(100 * bound(clean)) == percent
    assert (1 - bound(clean)) ** clean == pytest.approx(0.05)


def test_bound_of_each_wave_counts_all_hosts_so_far():
    lines = said(fleet(20))
    assert (
        "after wave 1, 3 clean hosts only bound the share of failing hosts below 63 % (95 %)"
        in lines
    )
    assert any(line.startswith("after wave 2, 5 clean hosts") for line in lines)
    assert not any(line.startswith("after wave 5,") for line in lines)


def test_class_that_is_seen_late_is_named():
    hosts = fleet(20, classes=4)
    (late,) = [line for line in said(hosts) if "is first seen" in line]
    assert "(5 hosts) is first seen in wave 2: a fault of it alone is missed until then" in late
    assert "25 % of the fleet" in late


def test_coverage_has_every_class_once_with_its_first_wave():
    waves = waves_of(fleet(20, classes=4))
    seen = coverage(waves)
    assert sorted(entry.class_name for entry in seen) == ["c0", "c1", "c2", "c3"]
    for entry in seen:
        named = [n for n, wave in enumerate(waves, 1) if entry.class_name in classes(wave)]
        assert entry.first_wave == named[0]
        assert entry.exposure == sum(map(len, waves[: named[0]]))


def classes(wave):
    return {host.class_name for host in wave}


def test_long_lists_of_classes_are_counted():
    lines = said(fleet(40, classes=40))
    assert len([line for line in lines if "is first seen" in line]) == 10
    assert any(line.startswith("so are 27 more classes (27 hosts)") for line in lines)


def test_few_controls_and_none_are_said():
    lines = said(fleet(4))
    assert (
        "wave 1 has 3 of 20 controls: a difference that chance makes once in 4 comparisons is the surest there is"
        in lines
    )
    assert "wave 3 has no controls: only what its hosts say of themselves is judged" in lines


def test_class_without_control_is_said():
    assert any("has no control of class c" in line for line in said(fleet(30, classes=30)))


def test_wave_that_takes_much_of_a_failure_domain_is_said():
    lines = [line for line in said(fleet(100, domains=10)) if "failure domain" in line]
    assert lines[0].startswith(
        "wave 3 changes more than a tenth of 5 failure domains at once, at most 2 of the 10"
    )
    assert not any(line.startswith(("wave 1 ", "wave 2 ")) for line in lines)


def test_unknown_failure_domains_are_said():
    hosts = [host.__class__(host.name, "c", "r") for host in fleet(10)]
    assert any(line.startswith("of 10 hosts no failure domain is known") for line in said(hosts))
