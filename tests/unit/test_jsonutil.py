"""Reading JSON: every fault at once, each with its path; unknown keys are faults."""

from __future__ import annotations

from enum import Enum

import pytest

from tcmicro_agent.errors import BundleError
from tcmicro_agent.jsonutil import Reader, did_you_mean, loads, read, show


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


def halved(text: str) -> int:
    if not text.isdigit():
        raise ValueError(f"{show(text)} cannot be halved")
    return int(text) // 2


GETTERS = {
    "str": lambda doc: doc.get_str("x"),
    "bool": lambda doc: doc.get_bool("x"),
    "int": lambda doc: doc.get_int("x", 0, 65535, "port"),
    "enum": lambda doc: doc.get_enum("x", Colour),
    "value": lambda doc: doc.get_value("x", halved, 0),
    "object": lambda doc: doc.get_object("x").get_str("y"),
    "objects": lambda doc: [item.get_str("y") for item in doc.get_objects("x")],
    "strings": lambda doc: doc.get_strings("x"),
    "ints": lambda doc: doc.get_ints("x", 1, 9),
    "values": lambda doc: doc.get_values("x", halved),
    "map": lambda doc: doc.get_map("x"),
}


def problems(value: object, build) -> list[str]:
    with pytest.raises(BundleError) as caught:
        read(value, build, BundleError)
    return caught.value.problems


@pytest.mark.parametrize(
    ("getter", "value", "wanted"),
    [
        ("str", "a", "a"),
        ("bool", False, False),
        ("int", 65535, 65535),
        ("enum", "blue", Colour.BLUE),
        ("value", "8", 4),
        ("object", {"y": "a"}, "a"),
        ("objects", [{"y": "a"}, {"y": "b"}], ["a", "b"]),
        ("strings", ["a", ""], ("a", "")),
        ("ints", [1, 9], (1, 9)),
        ("values", ["2", "4"], (1, 2)),
        ("map", {"k": "v"}, {"k": "v"}),
    ],
)
def test_getter_returns_the_value(getter, value, wanted):
    assert read({"x": value}, GETTERS[getter], BundleError) == wanted


@pytest.mark.parametrize(
    ("getter", "value", "wanted"),
    [
        ("str", 1, "x: 1 is not a string"),
        ("bool", 1, "x: 1 is not true or false"),
        ("int", 70000, "x: 70000 is not a port (0-65535)"),
        ("int", True, "x: true is not a port (0-65535)"),
        ("int", 1.0, "x: 1.0 is not a port (0-65535)"),
        ("enum", "rde", 'x: "rde" is not one of red, blue'),
        ("enum", ["red"], 'x: ["red"] is not one of red, blue'),
        ("value", "a", 'x: "a" cannot be halved'),
        ("object", [], "x: [] is not an object"),
        ("object", {"y": 1}, "x.y: 1 is not a string"),
        ("object", {}, "x.y: is missing"),
        ("objects", {}, "x: {} is not a list"),
        ("objects", [3], "x[0]: 3 is not an object"),
        ("objects", [{"y": "a"}, {"y": 1}], "x[1].y: 1 is not a string"),
        ("strings", ["a", 1], "x[1]: 1 is not a string"),
        ("ints", [1, 10], "x[1]: 10 is not a number (1-9)"),
        ("values", ["a"], 'x[0]: "a" cannot be halved'),
        ("map", {"k": True}, "x.k: true is not a string"),
        ("str", None, "x: null is not a string"),
    ],
)
def test_getter_names_the_fault(getter, value, wanted):
    assert problems({"x": value}, GETTERS[getter]) == [wanted]


@pytest.mark.parametrize("getter", GETTERS)
def test_missing_key_is_one_fault(getter):
    assert problems({}, GETTERS[getter]) == ["x: is missing"]


@pytest.mark.parametrize("getter", GETTERS)
def test_what_is_no_object_is_one_fault(getter):
    assert problems([1], GETTERS[getter]) == ["document: [1] is not an object"]


KINDS = {"name": str, "port": int}


def columns(value: object) -> list[list] | None:
    return read({"x": value}, lambda doc: doc.get_columns("x", KINDS), BundleError)


def test_columns_of_like_objects():
    assert columns([{"name": "a", "port": 1}, {"port": 2, "name": "b"}]) == [["a", "b"], [1, 2]]
    assert columns([]) == [[], []]


@pytest.mark.parametrize(
    "odd", [3, {}, {"name": "a"}, {"name": "a", "prot": 1}, {"name": "a", "port": True}]
)
def test_no_columns_where_an_object_differs(odd):
    assert columns([{"name": "a", "port": 1}, odd]) is None


def test_defaults_stand_in_for_absent_keys_only():
    assert read({}, lambda doc: doc.get_str("x", "d"), BundleError) == "d"
    assert problems({"x": None}, lambda doc: doc.get_str("x", "d")) == ["x: null is not a string"]


def test_all_faults_are_reported_at_once():
    def build(doc: Reader) -> None:
        for rule in doc.get_objects("rules"):
            rule.get_enum("action", Colour)
            rule.get_int("port", 0, 9)
        doc.fault("rules", "are too few")

    value = {"rules": [{"action": 1, "port": 10}, {"action": "red", "prot": 3}], "extra": 1}
    assert problems(value, build) == [
        "rules[0].action: 1 is not one of red, blue",
        "rules[0].port: 10 is not a number (0-9)",
        "rules[1].port: is missing",
        "rules: are too few",
        'document: unknown key "extra" (known: rules)',
        'rules[1]: unknown key "prot" (did you mean "port"?)',
    ]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ('{"a": 1, "a": 2}', 'document: not JSON: duplicate key "a"'),
        ("[NaN]", "document: not JSON: NaN is not a JSON number"),
        ("[" * 100_000, "document: nested too deeply to be read"),
        (b"\xff", "document: not JSON: 'utf-8' codec can't decode byte 0xff in position 0"),
        ("", "document: not JSON: Expecting value: line 1 column 1 (char 0)"),
    ],
)
def test_loads_refuses(text, wanted):
    with pytest.raises(BundleError) as caught:
        loads(text, BundleError)
    assert str(caught.value).startswith(wanted)


def test_show_cannot_move_the_cursor_of_a_terminal():
    assert show("\x1b[2J") == '"\\u001b[2J"'
    assert show("a\u202eb") == '"a\\u202eb"'
    assert show("größe") == '"größe"'
    assert len(show("x" * 1000)) == 60


def test_did_you_mean_offers_the_likely_word_or_the_few_there_are():
    assert did_you_mean("wbe", ["web", "db"]) == ' (did you mean "web"?)'
    assert did_you_mean("mail", ["web", "db"]) == " (known: web, db)"
    assert did_you_mean("mail", [f"group{n}" for n in range(50)]) == ""
