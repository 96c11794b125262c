"""Faults are shown with their line and a caret, and what is in a file cannot disturb a terminal."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tcmicro_agent.cli import diagnostics
from tcmicro_agent.policy.codes import Code
from tcmicro_agent.policy.problems import Fault, Where


def shown(line: str, column: int, *, colour: bool = False) -> list[str]:
    """The lines about a fault in the second line of a file."""
    fault = Fault(Where("policies/a.yml", 2, column), Code.NOT_ALLOWED, "wrong")
    rows = diagnostics.rows([fault], {"policies/a.yml": f"first\n{line}\nlast"}, {})
    return diagnostics.blocks(rows, colour=colour).splitlines()


@pytest.mark.parametrize(
    ("line", "column", "source", "marks"),
    [
        ("  mode: protekt # x", 9, "    mode: protekt # x", "          ^^^^^^^"),
        ("ports: [tcp/1, 22]", 16, "  ports: [tcp/1, 22]", "                 ^^"),
        ('a: "b \\" c" d', 4, '  a: "b \\" c" d', "     ^^^^^^^^"),
        ("acton: deny", 1, "  acton: deny", "  ^^^^^"),
        ("x: {}", 4, "  x: {}", "     ^"),
        ("a:\tb", 4, "  a: b", "     ^"),
        ("名: b", 4, "  名: b", "      ^"),
        ("a: \x1b[2Jb", 7, "  a: �[2Jb", "        ^^"),
        ("short", 99, "  short", "       ^"),
    ],
)
def test_the_caret_stands_below_the_word(line, column, source, marks):
    head, *below = shown(line, column)
    assert head == f"policies/a.yml:2:{column}: error TCM1204: wrong"
    assert below == [source, marks]


def test_of_a_long_line_the_part_around_the_fault_is_shown():
    _, source, marks = shown("a" * 500 + " WRONG " + "b" * 500, 502)
    assert len(source) < 120
    assert source.startswith("  …")
    assert source.endswith("…")
    assert source[marks.index("^") : marks.rindex("^") + 1] == "WRONG"


def test_a_fault_of_a_whole_file_has_no_caret():
    fault = Fault(Where("hosts.yml"), Code.INVENTORY_UNREADABLE, "is gone")
    text = diagnostics.blocks(diagnostics.rows([fault], {}, {}), colour=False)
    assert text == "hosts.yml: error TCM2101: is gone"


def test_paths_are_those_that_were_given():
    fault = Fault(Where("policies/a.yml", 1, 1), Code.KIND, "x")
    (row,) = diagnostics.rows([fault], {}, {"policies/a.yml": Path("site/policies/a.yml")})
    assert row["file"] == "site/policies/a.yml"
    assert row["docs"] == "docs/errors.md#tcm1102"


def test_colours_change_nothing_but_colours():
    import re

    plain = shown("mode: protekt", 7)
    painted = shown("mode: protekt", 7, colour=True)
    assert painted != plain
    assert [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in painted] == plain


@given(st.text(max_size=300), st.integers(1, 400))
def test_any_line_is_shown_without_control_characters(line, column):
    text = line.replace("\n", " ").replace("\r", " ")
    for part in shown(text, column):
        assert part.isprintable()
