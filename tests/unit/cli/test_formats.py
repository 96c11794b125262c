"""Every form holds the same document."""

from __future__ import annotations

import json

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tcmicro_agent.cli import formats, output
from tcmicro_agent.cli.watch import with_rates

SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
)
TEXTS = st.text(st.characters(exclude_categories=("Cs",)))
VALUES = st.recursive(
    SCALARS | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)


@given(VALUES)
def test_yaml_reads_back_as_what_was_written(value):
    assert yaml.safe_load(formats.yaml(value)) == value


@pytest.mark.parametrize(
    "text",
    [
        "no",
        "NULL",
        "1e3",
        "0x1f",
        "1:30",
        "2026-11-21",
        "- a",
        "a: b",
        "#",
        "",
        " x",
        "\u2028",
        "é",
        "<<",
        "=",
    ],
)
def test_what_yaml_would_take_for_something_else_is_quoted(text):
    assert yaml.safe_load(formats.yaml({"key": text, text: [text]})) == {"key": text, text: [text]}


def test_jsonl_has_an_item_a_line():
    document = {"kind": "PolicyList", "local": [{"id": "a"}], "rules": [{"rule": "b"}]}
    lines = formats.text(document, "jsonl").splitlines()
    assert [json.loads(line) for line in lines] == [{"id": "a"}, {"rule": "b"}]


def test_jsonl_of_what_is_no_list_is_one_line():
    document = {"kind": "Version", "release": "1"}
    assert json.loads(formats.text(document, "jsonl")) == document


def test_lists_are_of_kinds_that_exist():
    shown_elsewhere = {"PolicyGraph", "PolicyTestResults"}  # verbs with forms of their own
    assert set(formats.ITEMS) - shown_elsewhere <= set(output.TEXT)


def test_rates_are_of_the_same_row_and_never_negative():
    before = [{"name": "a", "packets": 10}, {"name": "b", "packets": 50}]
    after = [
        {"name": "b", "packets": 40},
        {"name": "a", "packets": 30},
        {"name": "c", "packets": 5},
    ]
    rates = {row["name"]: row["packets_per_s"] for row in with_rates(before, after, "packets", 2)}
    assert rates == {"a": 10.0, "b": 0.0, "c": 2.5}
