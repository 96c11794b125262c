"""docs/metrics.md and docs/logs.md are what the agent's catalogues say, and Prometheus' own checker takes all of it."""

from __future__ import annotations

import os
import subprocess

import pytest
from prometheus_client.registry import Collector

from tcmicro_agent import messages
from tcmicro_agent.metrics import catalogue, series
from tcmicro_agent.metrics.listener import exposition
from tcmicro_agent.probe import Why
from tools import logs, metrics
from tools.process import ToolError
from tools.promtool import promtool


def test_the_page_of_metrics_is_up_to_date():
    assert metrics.PAGE.read_text() == metrics.page(), "docs/metrics.md is stale: run 'make format'"


def test_the_page_of_the_log_is_up_to_date():
    assert logs.PAGE.read_text() == logs.page(), "docs/logs.md is stale: run 'make format'"


def test_another_catalogue_makes_the_pages_stale():
    assert metrics.PAGE.read_text() != metrics.page(catalogue.CATALOGUE[1:])
    assert logs.PAGE.read_text() != logs.page(messages.CATALOGUE[1:])


def test_every_reason_not_to_enforce_has_a_row():
    assert set(metrics.REASONS) == set(Why)


class Everything(Collector):
    """Each metric with one series, and each old name."""

    def collect(self):
        families = []
        for metric in catalogue.CATALOGUE:
            family = metric.family()
            labels = [f'a "quoted\\ {label}' for label in metric.labels]
            if "direction" in metric.labels:
                labels[metric.labels.index("direction")] = "ingress"
            family.add_metric(labels, 1)
            families.append(family)
        yield from families
        yield from series.aliases(families)


@pytest.fixture(scope="module")
def checker():
    try:
        return promtool()
    except ToolError as exc:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"promtool cannot be fetched: {exc}")


def check(checker, text: bytes) -> subprocess.CompletedProcess:
    argv = [str(checker), "check", "metrics"]
    return subprocess.run(argv, input=text, capture_output=True, timeout=60, check=False)


def test_promtool_has_nothing_to_say_of_any_metric(checker):
    done = check(checker, exposition(Everything())())
    assert (done.returncode, done.stderr.decode()) == (0, "")


def test_promtool_finds_a_counter_without_its_ending(checker):
    done = check(checker, b"# HELP x X.\n# TYPE x counter\nx 1\n")
    assert done.returncode == 3
    assert b"_total" in done.stderr
