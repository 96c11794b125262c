"""Every alert has a page that says what to do, and every page an alert."""

from __future__ import annotations

import re

import pytest

from tcmicro_agent.metrics import catalogue
from tests.monitoring.conftest import ROOT, alerts
from tests.monitoring.test_rules import OTHERS, names_in

PAGES = ROOT / "docs/runbooks"
SECTIONS = ["Symptom", "Metric", "Action", "Verification"]


def test_alerts_and_pages_are_the_same():
    pages = {path.stem for path in PAGES.glob("*.md")} - {"README"}
    assert pages == set(alerts())


def test_the_list_names_every_page():
    listed = re.findall(r"\]\((\w+)\.md\)", (PAGES / "README.md").read_text())
    assert sorted(listed) == sorted(alerts())


@pytest.mark.parametrize("name", alerts())
def test_page_has_its_sections_and_the_alert_names_it(name):
    page = (PAGES / f"{name}.md").read_text()
    assert alerts()[name]["annotations"]["runbook_url"] == f"docs/runbooks/{name}.md"
    assert page.startswith(f"# {name}\n")
    assert re.findall(r"^## (.+)$", page, re.MULTILINE) == SECTIONS
    parts = re.split(r"^## .+$", page, flags=re.MULTILINE)[1:]
    assert all(part.strip() for part in parts)


@pytest.mark.parametrize("name", alerts())
def test_page_speaks_of_metrics_that_there_are(name):
    page = (PAGES / f"{name}.md").read_text()
    known = {metric.exposed for metric in catalogue.CATALOGUE} | OTHERS
    said = set(re.findall(r"\btc_micro_\w+|\bprocess_start_time_seconds", page))
    assert said <= known, said - known
    assert said & known or "up" in page
    asked = names_in(alerts()[name]["expr"]) & known
    assert not asked or asked & said, f"the page names none of {sorted(asked)}"
