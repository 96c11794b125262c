"""The bound of series per host, the names of the earlier system, and the catalogue they come from."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tcmicro_agent.metrics import catalogue as c
from tcmicro_agent.metrics import series
from tcmicro_agent.metrics.catalogue import CATALOGUE, Fold, Kind

# What would name a peer, a process or a place in a file system: without bound, or nobody else's business.
FORBIDDEN = {"address", "ip", "peer", "network", "pid", "comm", "process", "path", "fqdn", "host"}


def hits(count: int):
    family = c.RULE_HITS.family()
    for number in range(count):
        family.add_metric([f"p/r{number}", "allow"], number)
    return family


def samples(family) -> dict[tuple[str, ...], float]:
    return {tuple(sample.labels.values()): sample.value for sample in family.samples}


def test_few_series_are_as_they_are():
    families = [hits(100), c.single(c.DRIFT, 1)]
    kept, folded = series.bounded(families)
    assert kept == families
    assert folded == 0


def test_what_is_over_is_one_series_with_the_sum():
    [kept], folded = series.bounded([hits(5000)], 100)
    found = samples(kept)
    assert len(found) == 100
    assert folded == 5000 - 99
    assert found["p/r0", "allow"] == 0
    assert found["p/r98", "allow"] == 98
    assert found["other", "other"] == sum(range(99, 5000))
    assert sum(found.values()) == sum(range(5000))


def test_of_times_the_first_stands_for_the_others():
    family = c.RULE_EXPIRY.family()
    for number in range(10):
        family.add_metric([f"p/r{number}"], 2_000_000_000 - number)
    [kept], folded = series.bounded([family], 4)
    assert samples(kept)[("other",)] == 2_000_000_000 - 9
    assert folded == 7


def test_who_is_told_apart_does_not_change_with_the_counts():
    few, many = hits(50), hits(50)
    many.samples = [sample._replace(value=1e6 - n) for n, sample in enumerate(many.samples)]
    names = [set(samples(series.bounded([family], 20)[0][0])) for family in (few, many)]
    assert names[0] == names[1]


def test_fixed_series_are_never_folded():
    fixed = c.several(c.MAP_ENTRIES, {f"map{n}": n for n in range(30)})
    kept, _ = series.bounded([fixed, hits(100)], 40)
    assert kept[0] is fixed
    assert len(kept[1].samples) == 10


@given(st.dictionaries(st.text(), st.integers(0, 5000), max_size=5), st.integers(0, 3000))
def test_room_is_given_out_and_never_twice(wanted, room):
    given_out = series.shares(wanted, room)
    assert sum(given_out.values()) == min(sum(wanted.values()), room)
    assert all(given_out[name] <= wanted[name] for name in wanted)
    cut = [given_out[name] for name in wanted if given_out[name] < wanted[name]]
    assert not cut or max(given_out.values()) <= max(cut) + 1


def test_old_names_are_sums_over_the_labels_they_did_not_have():
    denied = c.PACKETS_DENIED.family()
    for direction, reason, count in (
        ("ingress", "rule_deny", 3),
        ("ingress", "revoked", 4),
        ("egress", "revoked", 5),
    ):
        denied.add_metric([direction, reason, "enforced"], count)
    alias, hit = series.aliases([denied, c.single(c.CACHE_HITS, 7), c.single(c.DRIFT, 1)])
    assert (alias.name, alias.type) == ("tc_micro_packets_denied", "unknown")
    assert samples(alias) == {("ingress",): 7, ("egress",): 5}
    assert (hit.name, samples(hit)) == ("tc_micro_session_cache_hits", {(): 7})


# --- catalogue


@pytest.mark.parametrize("metric", CATALOGUE, ids=lambda metric: metric.exposed)
def test_a_metric_is_named_as_prometheus_wants_it(metric):
    assert re.fullmatch(r"[a-z][a-z0-9_]*[a-z0-9]", metric.name)
    assert not metric.name.endswith(("_total", "_count", "_sum", "_bucket"))
    assert not FORBIDDEN & set(metric.labels)
    assert len(metric.text) > 10
    assert not metric.text.endswith(".")
    if metric.unit in ("seconds", "bytes"):
        assert metric.name.endswith(f"_{metric.unit}") or metric.name == metric.unit
    if metric.fold is Fold.SUM:
        assert metric.kind is Kind.COUNTER


def test_no_name_is_given_twice():
    names = [metric.exposed for metric in CATALOGUE] + [c.PREFIX + name for name in c.ALIASES]
    assert len(set(names)) == len(names)


def test_labels_without_bound_can_be_folded():
    unbounded = {"rule", "interface"}
    for metric in CATALOGUE:
        assert bool(unbounded & set(metric.labels)) == bool(metric.fold), metric.name
