"""What a host is to the planner: its class by facts and groups, its place by variables."""

from __future__ import annotations

import pytest
from ansible_collections.tcmicro.fleet.plugins.module_utils import facts
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.planner.errors import RolloutError
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.planner.hosts import read

from tests.plugins.looks import look
from tests.plugins.planner.fleets import FACTS

GROUPS = ["all", "tcmicro", "tcmicro_wave_1", "web"]


def host(facts=FACTS, **variables):
    return read("h", look() | {"facts": facts}, {"group_names": GROUPS} | variables)


def test_class_is_kernel_series_architecture_distribution_and_role():
    assert host().class_name == "6.1/x86_64/debian-12/web"


@pytest.mark.parametrize(
    ("kernel", "series"),
    [("5.14.0-427.el9.x86_64", "5.14"), ("6.12-rc3", "6.12"), ("6.18.0+", "6.18"), ("", "unknown")],
)
def test_class_has_the_series_of_the_kernel(kernel, series):
    assert host({**FACTS, "kernel": kernel}).class_name.split("/")[0] == series


def test_class_says_what_is_not_known():
    assert host(None).class_name == "unknown/unknown/unknown/web"
    assert host({**FACTS, "version": ""}).class_name == "6.1/x86_64/debian/web"


def test_role_is_the_groups_of_the_inventory_or_a_variable():
    assert host(group_names=["web", "edge", "ungrouped"]).role == "edge+web"
    assert host(tcmicro_role="front").class_name.endswith("/front")
    assert host(group_names=[]).class_name.endswith("/any")


def test_class_may_be_given():
    assert host(tcmicro_class="appliance").class_name == "appliance"


@pytest.mark.parametrize(
    ("variables", "domain"),
    [
        ({}, ""),
        ({"tcmicro_site": "north"}, "north"),
        ({"tcmicro_site": "north", "tcmicro_rack": 7}, "north/7"),
        ({"tcmicro_rack": "r7"}, "r7"),
    ],
)
def test_failure_domain_is_as_narrow_as_is_known(variables, domain):
    assert host(**variables).domain == domain


def test_unknown_ring_is_refused():
    with pytest.raises(RolloutError, match="h: tcmicro_ring: 'cannary' .* canary, normal, infra"):
        host(tcmicro_ring="cannary")


@pytest.mark.parametrize("value", [["a"], {"a": 1}, True, 1.5])
def test_name_that_is_no_name_is_refused(value):
    with pytest.raises(RolloutError, match="h: tcmicro_ha_group: "):
        host(tcmicro_ha_group=value)


def test_facts_of_this_host_are_text():
    found = facts.facts()
    assert set(found) == set(FACTS)
    assert found["kernel"]
    assert found["arch"]


def test_os_release_is_read_as_a_shell_would():
    text = '# a comment\nID=debian\nVERSION_ID="12"\nNAME=\'Debian GNU/Linux\'\nBROKEN="x\n\nEMPTY='
    assert facts.os_release(text) == {
        "ID": "debian",
        "VERSION_ID": "12",
        "NAME": "Debian GNU/Linux",
        "EMPTY": "",
    }
