"""Reports of rollouts: what they say first, that nothing can break their form, that a gate shows as a case."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.report import record
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.report.junit import junit
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.report.markdown import markdown
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.report.page import page
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.report.plots import plot
from hypothesis import given, settings
from hypothesis import strategies as st

VOID = {"meta", "path", "br"}
LINES = {"db1": [[0, 5.0], [10, 6.0], [20, 30.0]], "db2": [[0, 4.0], [20, 5.0]]}


def finding(outcome="fail", *, host="db1", enforce=True, text="12 denied, allowed 0"):
    return {
        "level": "L1",
        "metric": "denied",
        "host": host,
        "outcome": outcome,
        "enforce": enforce,
        "text": text,
    }


def wave(number, outcome="pass", findings=(), **more):
    return {
        "number": number,
        "stage": f"{number * 5} %",
        "hosts": [f"db{number}"],
        "exposure": number,
        "started": 1000.0,
        "ended": 1090.0,
        "bake_s": 60,
        "verdict": {"outcome": outcome, "findings": list(findings)},
        **more,
    }


def document(**more):
    hosts = {
        "db1": {"state": "reverted", "before": "0.1.0", "after": "0.1.0"},
        "db2": {"state": "stuck", "before": "0.1.0", "after": "0.1.1", "note": "no contact"},
        "db3": {"state": "untouched", "before": "0.1.0", "after": "0.1.0"},
    }
    found = {
        "kind": "RolloutRecord",
        "id": "r-1",
        "subject": "release 0.1.1",
        "state": "rollback_incomplete",
        "why": "gate denied failed in wave 2",
        "started": 1000.0,
        "ended": 1200.0,
        "plan": {"fleet": 3, "blind": ["1 clean host bounds nothing"], "missing": {"db9": "down"}},
        "waves": [
            wave(1, figures={"p50_us": 12.5}, findings=[finding("pass"), finding(enforce=False)]),
            wave(2, "fail", [finding()]),
            wave(3, "not reached") | {"verdict": None, "started": None, "ended": None},
        ],
        "hosts": hosts,
        "approvals": ["wave 2: approved by ops"],
        "chain_ok": True,
    }
    return found | more


def test_the_first_line_says_why_it_ended():
    text = markdown(record.parse(document()))
    assert (
        text.splitlines()[0] == "# release 0.1.1: rollback incomplete: gate denied failed in wave 2"
    )
    assert "1 of 3 waves passed their gate" in text
    assert "2 of 3 hosts were touched" in text


def test_waves_have_the_figures_that_were_measured():
    text = markdown(record.parse(document()))
    assert "| 1 | 5 % | 1 | 1 | 1 min 30 s | 1 min 0 s | 12.5 | pass |" in text
    assert "| 3 | 15 % | 1 | 3 | – | 1 min 0 s | – | not reached |" in text


def test_findings_that_decide_come_before_those_in_shadow():
    text = markdown(record.parse(document()))
    assert text.index("| 2 | L1 | denied | db1 | fail |") < text.index("fail (shadow)")


def test_hosts_that_need_a_look_are_named_and_the_others_counted():
    hosts = {f"h{n}": {"state": "committed", "before": "1", "after": "2"} for n in range(500)}
    hosts["h7"] |= {"note": "slow"}
    text = markdown(record.parse(document(hosts=hosts)))
    assert "| 499 hosts | committed | 1 | 2 |" in text
    assert "| h7 | committed | 1 | 2 | slow |" in text


def test_a_broken_chain_is_said():
    assert "BROKEN" not in markdown(record.parse(document()))
    assert "BROKEN" in markdown(record.parse(document(chain_ok=False)))


@pytest.mark.parametrize("lost", ["kind", "id", "waves", "hosts", "started"])
def test_what_is_no_record_is_refused_by_name(lost):
    broken = document()
    del broken[lost]
    with pytest.raises(record.RecordError, match=lost):
        record.parse(broken)


def test_a_case_per_gate_and_wave():
    suites = ElementTree.fromstring(junit(record.parse(document())))
    assert [suite.attrib["failures"] for suite in suites] == ["0", "1", "0"]
    assert [suite.attrib["skipped"] for suite in suites] == ["0", "0", "1"]
    [failure] = suites.iter("failure")
    assert failure.attrib["message"] == "db1: 12 denied, allowed 0"


def test_the_plot_has_a_line_per_canary_over_the_band_of_the_others():
    series = {
        "metric": "rss",
        "unit": "bytes",
        "changed_at": 10,
        "canaries": LINES,
        "controls": {"db7": [[0, 1], [20, 2]]},
    }
    [drawn] = record.parse(document(waves=[wave(1, series=[series])])).waves[0].series
    svg = ElementTree.fromstring(plot(drawn))
    classes = [path.attrib.get("class") for path in svg.iter("path")]
    assert classes.count("canary") == 2
    assert (classes.count("band"), classes.count("median"), classes.count("change")) == (1, 1, 1)
    higher = [path for path in svg.iter("path") if path.findtext("title") == "db1"][0].attrib["d"]
    ys = [float(pair.split()[1]) for pair in re.split("[ML]", higher) if pair]
    assert ys[2] < ys[1] < ys[0]  # 30 is drawn above 6 above 5


def test_nothing_measured_nothing_drawn():
    empty = {"metric": "x", "changed_at": 0, "canaries": {}, "controls": {"a": []}}
    [drawn] = record.parse(document(waves=[wave(1, series=[empty])])).waves[0].series
    assert plot(drawn) == ""
    assert "<svg" not in page(record.parse(document(waves=[wave(1, series=[empty])])))


class Balanced(HTMLParser):
    """Fails when an element is closed that is not open; gathers what is fetched from elsewhere."""

    def __init__(self):
        super().__init__()
        self.open, self.fetched, self.text = [], [], []

    def handle_starttag(self, tag, attrs):
        self.fetched += [value for name, value in attrs if name in ("src", "href")]
        self.fetched += [tag] if tag in ("script", "link", "iframe", "img") else []
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


TEXT = st.text(max_size=40) | st.sampled_from(
    ["</td><script>", "a|b|c", "\x1b[31m", "]]>", "&amp;"]
)


@settings(max_examples=60, deadline=None)
@given(host=TEXT, note=TEXT, why=TEXT, said=TEXT)
def test_no_text_of_a_host_becomes_markup(host, note, why, said):
    lines = {host: [[0, 1.0], [5, 2.0]]}
    series = {"metric": said, "unit": why, "changed_at": 3, "canaries": lines, "controls": lines}
    made = record.parse(
        document(
            why=why,
            hosts={host: {"state": note, "note": note}},
            waves=[wave(1, "fail", [finding(host=host, text=said)], series=[series])],
        )
    )
    reader = Balanced()
    reader.feed(page(made))
    assert reader.open == []
    assert reader.fetched == []
    widths = {
        re.sub(r"\\.", "", row).count("|") for row in markdown(made).splitlines() if "L1" in row
    }
    assert widths == {7}
    ElementTree.fromstring(junit(made))
