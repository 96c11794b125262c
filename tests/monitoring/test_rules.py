"""Prometheus takes the rules, they fire when they should and else not, and ask for nothing that agents do not have."""

from __future__ import annotations

import re
import subprocess

import pytest
import yaml

from tcmicro_agent.metrics import catalogue
from tests.monitoring.conftest import CASES, RULES, alerts, rules

FILES = sorted(path.name for path in RULES.glob("*.yml"))
WORD = re.compile(r"\b(?:\w+:)*(?:tc_micro|process|instance)\w*(?::\w+)*")
# Of Prometheus, and of every process that prometheus-client serves.
OTHERS = {"up", "process_start_time_seconds"}
LABELS = {"severity"}
SEVERITIES = {"critical", "warning", "info"}


def names_in(expr):
    """Names of series that an expression asks for: what label matchers, groupings and durations hold is none."""
    bare = re.sub(r"\{[^}]*\}|\b(?:by|without|on|ignoring|group_left)\s*\([^)]*\)", "", expr)
    return set(WORD.findall(bare))


def known():
    recorded = {rule["record"] for _, rule in rules() if "record" in rule}
    return {metric.exposed for metric in catalogue.CATALOGUE} | recorded | OTHERS


def test_promtool_has_nothing_to_say_of_the_rules(tool):
    argv = [str(tool("promtool")), "check", "rules", "--lint=all", "--lint-fatal"]
    done = subprocess.run(
        [*argv, *map(str, sorted(RULES.glob("*.yml")))], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("SUCCESS") == len(FILES)


@pytest.fixture(scope="module")
def bare(tmp_path_factory):
    """The rules without annotations, which the cases say nothing of, and the cases beside them."""
    folder = tmp_path_factory.mktemp("rules")
    for name in FILES:
        document = yaml.safe_load((RULES / name).read_text())
        for group in document["groups"]:
            for rule in group["rules"]:
                rule.pop("annotations", None)
        (folder / name).write_text(yaml.safe_dump(document))
    for path in CASES.glob("*.yml"):
        (folder / f"case-{path.name}").write_text(path.read_text())
    return folder


@pytest.mark.parametrize("name", sorted(path.name for path in CASES.glob("*.yml")))
def test_rules_do_what_their_cases_say(tool, bare, name):
    argv = [str(tool("promtool")), "test", "rules", str(bare / f"case-{name}")]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_rule_that_never_fires_fails_its_cases(tool, bare, tmp_path):
    for path in bare.iterdir():
        (tmp_path / path.name).write_text(path.read_text())
    broken = tmp_path / "traffic.yml"
    broken.write_text(broken.read_text().replace("> 0.8", "> 8"))
    argv = [str(tool("promtool")), "test", "rules", str(tmp_path / "case-traffic.yml")]
    assert subprocess.run(argv, capture_output=True, timeout=120).returncode == 1


def cases():
    """By alert, whether anybody is expected to have it, of each time it is looked for."""
    found = {}
    for path in CASES.glob("*.yml"):
        for test in yaml.safe_load(path.read_text())["tests"]:
            for case in test.get("alert_rule_test", ()):
                found.setdefault(case["alertname"], set()).add(bool(case["exp_alerts"]))
    return found


def test_every_alert_is_seen_to_fire_and_not_to_fire():
    assert cases() == dict.fromkeys(alerts(), {True, False})


def test_rules_ask_only_for_what_agents_export():
    exprs = {rule.get("alert") or rule["record"]: rule["expr"] for _, rule in rules()}
    wanted = known()
    assert {name: gone for name, expr in exprs.items() if (gone := names_in(expr) - wanted)} == {}
    assert all(names_in(expr) or "up{" in expr for expr in exprs.values())


@pytest.mark.parametrize(
    ("expr", "found"),
    [
        ('rate(tc_micro_packets{job="tc_micro_x"}[5m]) > 0', {"tc_micro_packets"}),
        ("sum by (tc_micro_label) (tc_micro_gone) > 1", {"tc_micro_gone"}),
        (
            "instance:tc_micro_gone:rate5m / process_gone",
            {"instance:tc_micro_gone:rate5m", "process_gone"},
        ),
    ],
)
def test_names_of_an_expression_are_found(expr, found):
    assert names_in(expr) == found
    assert not found & known()


@pytest.mark.parametrize("name", alerts())
def test_alerts_say_what_they_mean(name):
    alert = alerts()[name]
    assert name.startswith("TcMicro")
    assert set(alert["labels"]) == LABELS
    assert alert["labels"]["severity"] in SEVERITIES
    assert set(alert["annotations"]) == {"summary", "description", "runbook_url"}
    assert "{{" not in alert["annotations"]["summary"]


def test_every_metric_that_is_a_reason_to_look_has_an_alert():
    """Those that the catalogue gives a threshold for, but for what somebody has to compare with an intention."""
    told = {name for _, rule in rules() for name in names_in(rule["expr"])}
    judged = {metric.exposed for metric in catalogue.CATALOGUE if metric.alarm}
    assert judged - told == BY_PEOPLE


BY_PEOPLE = {
    "tc_micro_enforcing",  # its reason has the alert
    "tc_micro_interfaces",  # as above: not_attached
    "tc_micro_hook_repairs_total",  # has no series before the first repair; the sample of it has
    "tc_micro_cache_hit_rate",  # since load; the rates have the alert
    "tc_micro_policy_revision_info",
    "tc_micro_staged_comparisons_total",
    "tc_micro_packets_audit_total",
}
