"""The plan of a lab: its hosts, its acts and their order, and when it is refused."""

from __future__ import annotations

import ipaddress
from collections import Counter

import pytest
from tcmicro_lab import cgroup, plan
from tcmicro_lab.model import Kind, LabError, lab_name


def test_six_hosts_are_two_of_each_group():
    names = [host.name for host in plan.hosts(6)]
    assert names == ["web1", "db1", "client1", "web2", "db2", "client2"]


@pytest.mark.parametrize("count", [1, 2, 40, 250])
def test_names_and_addresses_are_distinct_and_in_the_address_plan(count):
    hosts = plan.hosts(count)
    assert len({host.name for host in hosts}) == count
    for field, network in (("v4", "10.77.0.0/16"), ("v6", "fd77::/64")):
        addresses = {ipaddress.ip_address(getattr(host, field)) for host in hosts}
        assert len(addresses) == count
        assert all(address in ipaddress.ip_network(network) for address in addresses)
    assert not {plan.CONTROLLER_V4, plan.CONTROLLER_V6} & {host.v4 for host in hosts}


def test_a_growing_lab_keeps_its_hosts():
    assert plan.hosts(40)[:6] == plan.hosts(6)


def test_every_group_is_spread_over_all_racks():
    racks = Counter((host.group, host.site, host.rack) for host in plan.hosts(12))
    assert len(racks) == 12
    assert len({(host.group, host.site) for host in plan.hosts(6)}) == 6


@pytest.mark.parametrize("count", [-1, 0, 251])
def test_counts_out_of_range_are_refused(count):
    with pytest.raises(LabError, match=r"out of range \(1-250\)"):
        plan.hosts(count)


def test_machines_start_after_all_they_need_and_before_the_inventory(wanted):
    kinds = [act.kind for act in plan.plan(wanted(2)).acts]
    first, last = kinds.index(Kind.MACHINE), len(kinds) - 1 - kinds[::-1].index(Kind.MACHINE)
    needed = {Kind.TREE, Kind.NETWORK, Kind.KEYS, Kind.OVERLAY, Kind.BPFFS, Kind.CGROUP, Kind.LIMIT}
    assert needed <= set(kinds[:first])
    assert set(kinds[first : last + 1]) == {Kind.MACHINE}
    assert kinds[last + 1 :] == [Kind.FILE]


def test_no_act_stands_twice(wanted):
    acts = plan.plan(wanted(40)).acts
    assert len(set(acts)) == len(acts)


def test_tree_comes_with_the_cgroup_that_holds_its_builder(wanted):
    kinds = [act.kind for act in plan.tree_only(plan.plan(wanted()))]
    assert kinds == [Kind.CGROUP, Kind.CGROUP, Kind.TREE]


def test_two_checkouts_share_no_name(wanted):
    names = {lab_name(wanted(directory=path).directory) for path in ("/a/.lab", "/b/.lab")}
    assert len(names) == 2
    assert all(len(name) == len("tcm-123456") for name in names)


def test_tree_depends_on_the_set_of_packages_only(wanted):
    one, two = wanted(packages=("a", "b")), wanted(packages=("b", "a", "b"))
    assert plan.roots(one) == plan.roots(two) != plan.roots(wanted(packages=("a",)))


def test_suites_are_dealt_to_the_hosts_in_turn_and_each_tree_is_built_once(wanted):
    lab = plan.plan(wanted(4, suites=("bookworm", "trixie")))
    trees = [act.target for act in lab.acts if act.kind is Kind.TREE]
    assert len(set(trees)) == len(trees) == 2
    assert [str(lab.tree_of(place)) for place in range(4)] == trees * 2
    assert str(lab.tree) == trees[0]


def test_a_lab_without_a_suite_is_refused(wanted):
    with pytest.raises(LabError, match="suites: none is named"):
        plan.plan(wanted(suites=()))


def test_a_lab_of_other_suites_is_refused(wanted):
    reason = plan.refusal(plan.plan(wanted(suites=("trixie",))), plan.plan(wanted()))
    assert "root tree" in reason


def test_the_same_lab_is_welcome(wanted):
    lab = plan.plan(wanted())
    assert plan.refusal(lab, None) == plan.refusal(lab, lab) == ""


def test_a_lab_of_another_size_is_refused(wanted):
    reason = plan.refusal(plan.plan(wanted(40)), plan.plan(wanted(6)))
    assert "a lab of 6 hosts is up, 40 are wanted: run `make lab-down` first" in reason


def test_a_lab_of_other_packages_is_refused(wanted):
    reason = plan.refusal(plan.plan(wanted()), plan.plan(wanted(packages=("other",))))
    assert "root tree" in reason
    assert "make lab-down" in reason


def test_databases_are_pairs_in_racks_of_their_own():
    groups = {host.name: host.ha_group for host in plan.hosts(12)}
    assert {name: group for name, group in groups.items() if group} == {
        "db1": "db-1",
        "db2": "db-1",
        "db3": "db-2",
        "db4": "db-2",
    }
    for pair in ("db-1", "db-2"):
        assert len({host.rack for host in plan.hosts(12) if host.ha_group == pair}) == 2


@pytest.mark.parametrize(
    ("name", "hosts", "weight"),
    [
        ("cpu.shares", 3, "3072"),
        ("cpu.shares", 250, "256000"),
        ("cpu.weight", 40, "4000"),
        ("cpu.weight", 250, "10000"),
    ],
)
def test_a_lab_weighs_as_much_as_its_hosts(tmp_path, name, hosts, weight):
    (tmp_path / name).touch()
    cgroup.weigh(tmp_path, hosts)
    assert (tmp_path / name).read_text() == weight
    assert len(list(tmp_path.iterdir())) == 1
