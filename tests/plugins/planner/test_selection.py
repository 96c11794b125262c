"""Every host once, never more than planned, and never two that stand in for each other."""

from __future__ import annotations

from collections import Counter
from itertools import accumulate

import pytest
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.planner import selection, stages
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.planner.errors import RolloutError
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.planner.hosts import Host
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.planner.picking import cap
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.plugins.planner.fleets import STAGES, fleet

fleets = st.builds(
    fleet,
    st.integers(1, 150),
    classes=st.integers(1, 12),
    domains=st.integers(1, 15),
    groups=st.integers(0, 7),
    infra=st.integers(0, 6),
    canaries=st.integers(0, 6),
)
shares = st.lists(st.integers(1, 99), unique=True, max_size=5).map(lambda s: [*sorted(s), 100])
seeds = st.integers(0, 2**32)


def select(hosts, shares=STAGES, seed=7):
    return selection.select(hosts, stages.steps(len(hosts), shares), seed)


def names(found):
    return [[host.name for host in wave.hosts] for wave in found.waves]


def sizes(found):
    return [len(wave.hosts) for wave in found.waves]


@given(fleets, shares, seeds)
def test_every_host_is_in_exactly_one_wave(hosts, shares, seed):
    dealt = [name for wave in names(select(hosts, shares, seed)) for name in wave]
    assert sorted(dealt) == [host.name for host in hosts]


@given(fleets, shares, seeds)
def test_exposure_is_never_above_its_stage(hosts, shares, seed):
    found = select(hosts, shares, seed)
    early = {step.stage: step.end for step in stages.steps(len(hosts), shares)[:-1]}
    for wave, exposure in zip(found.waves, accumulate(sizes(found)), strict=True):
        assert exposure <= early.pop(wave.stage, len(hosts))


@given(st.integers(1, 300), shares, seeds)
def test_stages_are_reached_where_nothing_stands_against_it(count, shares, seed):
    steps = stages.steps(count, shares)
    found = select(fleet(count), shares, seed)
    assert list(accumulate(sizes(found)))[: len(steps) - 1] == [step.end for step in steps[:-1]]


@given(fleets, shares, seeds)
def test_no_wave_has_two_hosts_of_an_ha_group_or_two_infra_hosts_of_a_kind(hosts, shares, seed):
    for wave in select(hosts, shares, seed).waves:
        groups = Counter(host.ha_group for host in wave.hosts if host.ha_group)
        kinds = Counter(host.kind for host in wave.hosts if host.ring == "infra")
        assert max(groups.values(), default=0) <= 1
        assert max(kinds.values(), default=0) <= 1


@settings(max_examples=50)
@given(fleets, seeds, st.randoms(use_true_random=False))
def test_plan_depends_on_the_seed_and_not_on_the_order_of_the_input(hosts, seed, random):
    shuffled = random.sample(hosts, len(hosts))
    assert select(shuffled, seed=seed) == select(hosts, seed=seed)


def test_another_seed_begins_with_other_hosts():
    hosts = fleet(200, domains=10)
    assert len({names(select(hosts, seed=seed))[0][0] for seed in range(20)}) > 10


@given(st.integers(1, 500), st.integers(1, 8), seeds)
def test_classes_are_seen_as_early_as_there_is_room(count, classes, seed):
    found = select(fleet(count, classes=classes), seed=seed)
    seen: set[str] = set()
    for wave in found.waves:
        before, room = len(seen), len(wave.hosts)
        seen |= {host.class_name for host in wave.hosts}
        assert len(seen) == min(classes, count, before + room)


@given(st.integers(20, 500), st.integers(2, 20), seeds)
def test_first_wave_is_spread_over_failure_domains(count, domains, seed):
    first, *_ = select(fleet(count, domains=domains), seed=seed).waves
    used = Counter(host.domain for host in first.hosts)
    assert len(used) == min(domains, count, len(first.hosts))
    assert {host.site for host in first.hosts} == {"s0", "s1"}


@given(st.integers(40, 400), st.integers(2, 40), seeds)
def test_tenth_of_a_failure_domain_is_kept_where_the_wave_has_room_elsewhere(count, domains, seed):
    hosts = fleet(count, domains=domains)
    allowed = {name: cap(n) for name, n in Counter(host.domain for host in hosts).items()}
    first, *_ = select(hosts, [5, 100], seed).waves
    used = Counter(host.domain for host in first.hosts)
    if sum(allowed.values()) >= len(first.hosts):
        assert all(used[name] <= allowed[name] for name in used)


def test_tenth_is_kept_where_equal_shares_would_not_keep_it():
    hosts = [Host(f"a{n}", "c", "r", "s0", "s0/small") for n in range(19)]
    hosts += [Host(f"b{n}", "c", "r", "s0", "s0/large") for n in range(40)]
    first, *_ = select(hosts, ["5 hosts", 100]).waves
    assert Counter(host.domain for host in first.hosts) == {"s0/small": 1, "s0/large": 4}


def test_default_stages_of_a_hundred_hosts():
    found = select(fleet(100, domains=10))
    assert sizes(found) == [5, 5, 15, 25, 45, 5]
    assert [wave.stage for wave in found.waves] == [
        *(f"{n} %" for n in STAGES[:-1]),
        "95 %",
        "100 %",
    ]
    assert found.held


@pytest.mark.parametrize(
    ("count", "waves"),
    [(1, [1]), (4, [1, 1, 2]), (6, [2, 1, 3]), (19, [3, 2, 5, 9]), (20, [3, 2, 5, 5, 5])],
)
def test_small_fleets_hold_nobody_back(count, waves):
    found = select(fleet(count))
    assert sizes(found) == waves
    assert found.held == (count >= 20)


def test_one_stage_still_holds_controls_back():
    assert sizes(select(fleet(100), [100])) == [95, 5]


@given(st.integers(40, 300), st.integers(1, 4), seeds)
def test_holdback_has_every_common_class(count, classes, seed):
    found = select(fleet(count, classes=classes, domains=4), seed=seed)
    assert {host.class_name for host in found.waves[-1].hosts} == {f"c{n}" for n in range(classes)}


def test_ring_canary_is_the_first_wave():
    found = select(fleet(100, classes=3, domains=5, canaries=5))
    assert sorted(names(found)[0]) == [f"h{n:05}" for n in range(5)]


def test_one_infra_host_of_a_kind_goes_at_a_quarter_and_the_rest_last():
    found = select(fleet(100, infra=4, domains=5))
    infra = [sum(host.ring == "infra" for host in wave.hosts) for wave in found.waves]
    assert infra == [0, 0, 1, 0, 1, 1, 1, 0]
    assert [wave.stage for wave in found.waves[-4:]] == ["95 %", "95 %", "95 %", "100 %"]


def test_large_ha_group_gets_waves_of_its_own_at_the_end():
    found = select(fleet(12, groups=12))
    assert sizes(found) == [1] * 12


def test_pairs_are_split_without_more_waves():
    assert len(select(fleet(100, groups=2, domains=10)).waves) <= 7


def test_group_that_never_ends_is_refused():
    with pytest.raises(RolloutError) as refusal:
        select(fleet(300, groups=300))
    assert "tcmicro_ha_group 'g0'" in str(refusal.value)
    assert "left after 100 waves" in str(refusal.value)
