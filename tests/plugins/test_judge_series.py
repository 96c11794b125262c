"""What a report shows of a wave: the samples of its hosts around the change, thinned, and medians of them."""

from __future__ import annotations

from ansible_collections.tcmicro.fleet.plugins.plugin_utils.journal.verdicts import normal
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.judge import series
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.judge.judge import judge
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.report.plots import plot
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.report.record import _series

from tests.plugins import recorded
from tests.plugins.recorded import BAKE_S, BEFORE_S, evidence, shipped

GATES = shipped()


def whole(number, factors=None):
    """A host that was asked for the time before the change only after the bake."""
    before, after = recorded.host(number)
    own = dict.fromkeys(recorded.RATES, 1.0) | (factors or {})
    samples = recorded.samples(0, BEFORE_S + BAKE_S, own)
    return {**before, "samples": None}, {**after, "samples": samples}


def seen(factors=None, wave=2, controls=3, **fields):
    pairs = {f"c{n}": whole(n, factors) for n in range(wave)}
    pairs |= {f"k{n}": whole(n) for n in range(controls)}
    found = evidence(wave=wave, controls=controls, **fields)
    before, after = ({h: pair[n] for h, pair in pairs.items()} for n in (0, 1))
    return type(found)(**{**vars(found), "before": before, "after": after})


def shown(found):
    return {s["metric"]: s for s in series.series(found, GATES, judge(found, GATES))}


def test_lines_reach_from_before_the_change_to_the_end_of_the_bake():
    line = shown(seen({"denied_ingress": 3.0}))["denied packets"]
    assert set(line["canaries"]) == {"c0", "c1"}
    assert set(line["controls"]) == {"k0", "k1", "k2"}
    points = line["canaries"]["c0"]
    assert (points[0][0], points[-1][0]) == (60 - BEFORE_S, BAKE_S)
    assert [v for t, v in points if t <= 0] == [6.0] * 10
    assert [v for t, v in points if t > 0] == [16.0] * 10
    assert {v for _, v in line["controls"]["k0"]} == {6.0}
    assert "canary" in plot(_series(line))


def test_lines_have_the_unit_of_their_kind_or_their_own():
    units = {name: line["unit"] for name, line in shown(seen()).items()}
    assert units["denied packets"] == "a second"
    assert units["retransmissions"] == "share"
    assert units["round trips"] == "microseconds"


def test_points_and_hosts_are_bounded(monkeypatch):
    monkeypatch.setattr(recorded, "STEP_S", 1)
    lines = shown(seen(wave=50, controls=1))
    for line in lines.values():
        assert len(line["canaries"]) == series.MOST_HOSTS
        for points in line["canaries"].values():
            assert 30 <= len(points) <= series.MOST_POINTS


def test_hosts_that_a_finding_names_are_among_those_shown():
    found = evidence(wave=60, controls=40, hosts={"c9": {"denied_ingress": 9.0}})
    assert "c9" in shown(found)["denied packets"]["canaries"]


def test_figures_are_medians_before_and_after():
    found = series.figures(seen({"packets": 2.0, "denied_ingress": 2.0}), GATES)
    assert found["packets a second before"] == 1000
    assert found["packets a second after"] == 2000
    assert found["share denied before"] == 0.006
    assert found["share denied after"] == 0.0055
    assert found["agent faults after"] == 0


def test_nothing_is_shown_where_nothing_was_recorded():
    found = evidence(wave=1, controls=1)
    silent = {host: {**look, "samples": None} for host, look in found.after.items()}
    found = type(found)(**{**vars(found), "before": silent, "after": silent})
    assert shown(found) == {}
    assert series.figures(found, GATES) == {}


def test_journal_keeps_both():
    kept = normal({"outcome": "pass", "findings": [], "series": [1], "figures": {"a": 1}})
    assert (kept["series"], kept["figures"]) == ([1], {"a": 1})
