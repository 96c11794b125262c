"""Gate files are read at the border: each fault with its place, all at once."""

from __future__ import annotations

import pytest
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.judge import specs

from tcmicro_agent.errors import PolicyError
from tests.plugins.recorded import GATES, shipped

TEXT = GATES.read_text()


def faults(text):
    with pytest.raises(PolicyError) as caught:
        specs.parse("gates.yml", text)
    return caught.value.problems


def changed(old, new):
    assert old in TEXT
    return TEXT.replace(old, new, 1)


def line_of(text, part):
    return text[: text.index(part)].count("\n") + 1


def test_shipped_gates_are_read():
    gates = shipped()
    assert {metric.level for metric in gates.metrics} == set(specs.Level)
    assert gates.comparison.looks == (0.6, 0.8, 1.0)
    assert all(metric.enforced for metric in gates.metrics)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("kind: Gates", "kind: Gate", "is not Gates"),
        ("tcmicro/v1", "tcmicro/v2", "is not tcmicro/v1"),
        ("[restarts,", "[restart,", "is not one of restarts"),
        ("before_s: 600", "before_s: soon", "is not a number (60-3600)"),
        ("before_s: 600", "before_s: 60.5", "is not a whole number"),
        ("looks: [0.6, 0.8, 1]", "looks: [0.8, 0.6, 1]", "must rise"),
        ("looks: [0.6, 0.8, 1]", "looks: [0.6, 0.8]", "end with 1"),
        ("fail_below: 0.0008", "fail_below: 5", "is not a number (0-0.5)"),
        ("level: L2", "level: L7", "is not one of L1, L2, L3, L4"),
        ("kind: slope", "kind: slop", "did you mean"),
        ("    limit: 268435456\n", "", 'has no "limit"'),
        ("    per: [packets]\n", "", 'has no "per"'),
        ("in_a_row: 6", "in_row: 6", "unknown key"),
        ("    limit: 0.2", "    min_effect: 2\n    limit: 0.2", "unknown key"),
        ("values: [agent_rss_bytes]", "values: []", "empty"),
        ("name: agent CPU", "name: agent memory", "stands twice"),
        ("min_effect: 1.15", "min_effect: yes", "is not a number"),
        ("metrics:\n", "metrics: 3\nmore:\n", "must be a list"),
        ("kind: Gates", "kind: [", "not YAML"),
    ],
)
def test_each_fault_is_said_with_its_place(old, new, says):
    text = changed(old, new)
    found = faults(text)
    assert any(says in problem for problem in found), found
    assert all(problem.startswith("gates.yml:") for problem in found)


def test_the_line_is_that_of_the_fault():
    text = changed("limit: 0.8", "limit: most")
    [problem] = faults(text)
    assert problem.startswith(f"gates.yml:{line_of(text, 'limit: most')}:")


def test_all_faults_are_said_at_once():
    assert (
        len(faults(changed("limit: 0.8", "limit: most").replace("kind: slope", "kind: slop"))) == 2
    )


@pytest.mark.parametrize("text", ["", "---\n", TEXT + "---\n" + TEXT])
def test_a_file_is_one_document(text):
    assert "must be one document" in faults(text)[0]


def test_shadow_is_not_enforced():
    text = changed("  - name: agent memory\n", "  - name: agent memory\n    mode: shadow\n")
    assert not specs.parse("gates.yml", text).metrics[0].enforced
