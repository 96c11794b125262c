"""Controls are unchanged hosts, as like those of the wave as there are."""

from __future__ import annotations

from collections import Counter

from ansible_collections.tcmicro.fleet.plugins.plugin_utils.planner.controls import (
    LEAST,
    MOST,
    controls,
)
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.planner.hosts import Host
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.plugins.planner.fleets import fleet
from tests.plugins.planner.test_selection import fleets, seeds, select


def waves_of(hosts, seed=7):
    return [list(wave.hosts) for wave in select(hosts, seed=seed).waves]


@given(fleets, seeds)
def test_controls_are_changed_later_than_the_wave(hosts, seed):
    waves = waves_of(hosts, seed)
    for number, others in enumerate(controls(waves, seed)):
        later = {host.name for wave in waves[number + 1 :] for host in wave}
        names = [host.name for host in others]
        assert set(names) <= later
        assert len(set(names)) == len(names)


@given(fleets, seeds)
def test_there_are_twenty_controls_where_as_many_are_left(hosts, seed):
    waves = waves_of(hosts, seed)
    for number, others in enumerate(controls(waves, seed)):
        left = sum(map(len, waves[number + 1 :]))
        assert min(LEAST, left) <= len(others) <= MOST


@given(fleets, seeds)
def test_next_wave_lends_controls_only_where_others_are_too_few(hosts, seed):
    waves = waves_of(hosts, seed)
    for number, others in enumerate(controls(waves, seed)):
        following = {host.name for wave in waves[number + 1 : number + 2] for host in wave}
        beyond = sum(map(len, waves[number + 2 :]))
        lent = sum(host.name in following for host in others)
        assert lent <= max(0, LEAST - beyond)


@settings(max_examples=40)
@given(st.integers(100, 400), st.integers(1, 4), st.integers(1, 6), seeds)
def test_controls_are_of_the_classes_of_the_wave(count, classes, domains, seed):
    waves = waves_of(fleet(count, classes=classes, domains=domains), seed)
    first, matched = waves[0], controls(waves, seed)[0]
    assert {host.class_name for host in matched} == {host.class_name for host in first}
    shares = Counter(host.class_name for host in matched)
    wanted = Counter(host.class_name for host in first)
    for name, number in wanted.items():
        assert shares[name] * len(first) >= number * len(matched) - len(first) * number


def test_control_of_the_same_failure_domain_is_preferred():
    waves = waves_of(fleet(400, classes=2, domains=4))
    first, matched = waves[0], controls(waves, 7)[0]
    places = {(host.class_name, host.domain) for host in first}
    assert all((host.class_name, host.domain) in places for host in matched)


def test_partner_of_a_changed_host_is_no_control_while_there_are_others():
    waves = waves_of(fleet(200, groups=2, domains=5))
    for wave, others in list(zip(waves, controls(waves, 7), strict=True))[:3]:
        assert not {host.ha_group for host in wave} & {host.ha_group for host in others}


def test_partner_is_no_control_even_where_it_is_most_alike():
    changed = Host("web1", "c", "r", "s0", "s0/r0", "pair")
    partner = Host("web2", "c", "r", "s0", "s0/r0", "pair")
    others = [Host(f"far{n}", "c", "r", "s1", "s1/r1") for n in range(20)]
    matched = controls([[changed], [Host("next", "c", "r")], [partner, *others]], 7)[0]
    assert partner not in matched
    assert len(matched) == 20


def test_last_wave_has_nobody_to_be_compared_with():
    waves = waves_of(fleet(100))
    assert [len(others) for others in controls(waves, 7)] == [20, 20, 20, 20, 5, 0]


@settings(max_examples=30)
@given(fleets, seeds, st.randoms(use_true_random=False))
def test_controls_do_not_depend_on_the_order_of_the_input(hosts, seed, random):
    shuffled = random.sample(hosts, len(hosts))
    assert controls(waves_of(shuffled, seed), seed) == controls(waves_of(hosts, seed), seed)
