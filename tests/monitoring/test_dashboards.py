"""Dashboards are what their source says, and ask for nothing that a server with agents and our rules does not have."""

from __future__ import annotations

import json
import re
import subprocess

import pytest
import yaml

from tcmicro_agent.metrics import catalogue
from tests.monitoring.conftest import ROOT, alerts
from tests.monitoring.test_rules import known, names_in
from tools.dashboards import queries
from tools.dashboards.__main__ import documents

FOLDER = ROOT / "monitoring/dashboards"
NAMES = sorted(path.stem for path in FOLDER.glob("*.json"))
OPEN = 12  # panels that are not folded
PROCESS = {
    "process_cpu_seconds_total",
    "process_resident_memory_bytes",
    "process_start_time_seconds",
}
OF_PROMETHEUS = {"up", "scrape_duration_seconds", "ALERTS"}
COMPARED = re.compile(r"\b(?:up|ALERTS|scrape_duration_seconds)\b(?=\{)")


def document(name):
    return json.loads((FOLDER / f"{name}.json").read_text())


def every():
    """All panels as (dashboard, panel)."""
    return [(name, panel) for name in NAMES for panel in queries.panels(document(name))]


def expressions():
    """All expressions as a server gets them, by where they stand."""
    found = {}
    for name in NAMES:
        values = queries.choices(document(name))
        for place, expr in queries.expressions(document(name)):
            found[f"{name}: {place}"] = queries.filled(expr, values)
    return found


def test_files_are_what_the_source_says():
    committed = {path.name: path.read_text() for path in FOLDER.iterdir()}
    assert committed == documents(), "run make format"


def test_the_same_source_makes_the_same_text():
    assert documents() == documents()


def test_server_takes_every_expression(tool, tmp_path):
    """Each as a rule, because the checker reads expressions in rules."""
    rules = [{"record": f"a:b{n}", "expr": expr} for n, expr in enumerate(expressions().values())]
    path = tmp_path / "rules.yml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "dashboards", "rules": rules}]}))
    argv = [str(tool("promtool")), "check", "rules", str(path)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(rules)} rules found" in done.stdout


def test_a_broken_expression_is_refused(tool, tmp_path):
    path = tmp_path / "rules.yml"
    rule = {"record": "a:b", "expr": "sum by (rate(up[5m])"}
    path.write_text(yaml.safe_dump({"groups": [{"name": "dashboards", "rules": [rule]}]}))
    argv = [str(tool("promtool")), "check", "rules", str(path)]
    assert subprocess.run(argv, capture_output=True, timeout=60).returncode != 0


@pytest.mark.parametrize(("place", "expr"), expressions().items())
def test_expression_asks_only_for_what_there_is(place, expr):
    asked = names_in(expr)
    assert asked <= known() | PROCESS, asked - known() - PROCESS
    assert asked or COMPARED.search(expr)


def test_every_variable_is_one_of_its_dashboard():
    with pytest.raises(KeyError, match="gone"):
        queries.filled('up{instance=~"$gone"}', queries.choices(document("fleet")))


def test_every_metric_of_agents_is_shown_somewhere():
    shown = {name for expr in expressions().values() for name in names_in(expr)}
    assert {metric.exposed for metric in catalogue.CATALOGUE} - shown == ELSEWHERE


ELSEWHERE = {
    "tc_micro_packets_total",  # as allowed and denied; the figures are made of it
    "tc_micro_sample",  # as recorded every ten seconds
}


@pytest.mark.parametrize(("name", "panel"), every())
def test_panel_says_what_it_shows(name, panel):
    assert panel["title"]
    assert panel["description"].endswith(".")
    assert panel["fieldConfig"]["defaults"]["unit"]
    assert panel["datasource"]["uid"] == "${datasource}"
    assert {target["datasource"]["uid"] for target in panel["targets"]} == {"${datasource}"}
    for link in panel["links"]:
        assert link["title"] in alerts()
        assert link["url"] == f"${{runbooks}}/{link['title']}.md"


def test_every_alert_is_linked_from_a_panel():
    linked = {link["title"] for _, panel in every() for link in panel["links"]}
    assert linked == set(alerts())


@pytest.mark.parametrize("name", NAMES)
def test_dashboard_is_one_that_grafana_can_keep(name):
    found = document(name)
    rows = [panel for panel in found["panels"] if panel["type"] == "row"]
    everything = [*rows, *queries.panels(found)]
    assert found["uid"] == f"tcmicro-{name}"
    assert len(found["panels"]) - len(rows) <= OPEN
    assert sorted(panel["id"] for panel in everything) == list(range(1, len(everything) + 1))
    places = [place for place, _ in queries.expressions(found)]
    assert len(set(places)) == len(places), "two panels have one title"


@pytest.mark.parametrize(
    ("expr", "found"),
    [
        ("rate(x[$__rate_interval])", "rate(x[1m])"),
        ('x{instance="$host"}', 'x{instance="web1"}'),
        ("x[${__range}] > 0", "x[15m] > 0"),
    ],
)
def test_variables_are_filled_in(expr, found):
    assert queries.filled(expr, {"host": "web1"}) == found
