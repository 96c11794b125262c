"""`fmt`: one way to write a policy, comments kept, nothing meant otherwise."""

from __future__ import annotations

import random
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tcmicro_agent.errors import PolicyError
from tcmicro_agent.policy.checks.rules import meaning
from tcmicro_agent.policy.layout import canonical
from tcmicro_agent.policy.source import parse_documents
from tools.errors.examples import EXAMPLES

ROOT = Path(__file__).resolve().parents[3]
PAGE = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs/policy.md").read_text(), re.DOTALL)
SHIPPED = sorted(ROOT.glob("inventories/*/policies/*.yml"))
ODD = """\
list:
- b: c
  d: |
    text # no comment
      more

  e: >-
    folded
    lines
-   f: "x y"
    id: 'it''s'
-
  - 1
  - [x, {y: z}]
- {ports: [udp/3, tcp/2,
     tcp/1], name: x}
"""
TEXTS = [*(example.policy for example in EXAMPLES.values()), *PAGE, ODD]
TEXTS += [path.read_text() for path in SHIPPED]


def form(text: str) -> str:
    return canonical("p.yml", text)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("kind: a\napiVersion: b\n", "apiVersion: b\nkind: a\n"),
        ("zz: 1\nid: b\nyy: 2", "id: b\nzz: 1\nyy: 2\n"),
        ("groups: [web, db]", "groups: [db, web]\n"),
        ("labels: {tier: a, env: b}", "labels: {env: b, tier: a}\n"),
        ("ports: [set:x, any, udp/1, tcp/10, tcp/9]", "ports: [tcp/9, tcp/10, udp/1, any, set:x]\n"),
        ("cidrs: ['fd00::/8', 10.1.0.0/16, 10.0.0.0/8]", 'cidrs: [10.0.0.0/8, 10.1.0.0/16, "fd00::/8"]\n'),
        ("groups:\n- b\n# the other\n- a\n", "groups:\n  - b\n  # the other\n  - a\n"),
        ("groups:\n- b # two\n- a # one\n", "groups:\n  - a  # one\n  - b  # two\n"),
        ("from: [b, a]", "from: [b, a]\n"),
        ("a:\n- b:   'c'\n", "a:\n  - b: c\n"),
        ("a: 'on'\nb: '1'\nc: '22:22'\nd: ''\ne: 'x: y'", 'a: "on"\nb: "1"\nc: "22:22"\nd: ""\ne: "x: y"\n'),
        ("a: {b: 'x, y'}\nc: x, y", 'a: {b: "x, y"}\nc: x, y\n'),
        ("a: 1\n\n\n\nb: 2\n\n", "a: 1\n\nb: 2\n"),
        ("# top\na: 1 # end\n# foot", "# top\na: 1  # end\n# foot\n"),
        ("# b\nmode: 1\n# a\ntier: 2\n", "# b\n# a\ntier: 2\nmode: 1\n"),
        ("---\na: 1\n---\nb: 2\n", "---\na: 1\n---\nb: 2\n"),
        ("a: 1\n--- # next\nb: 2\n", "a: 1\n---\n# next\nb: 2\n"),
        ("a: [x, # why\n  y]", "a:\n  - x  # why\n  - y\n"),
        ("a:\n  - # c\n    id: b\n", "a:\n  # c\n  - id: b\n"),
        ("a: " + "[" + ", ".join(["x" * 30] * 4) + "]", "a:\n" + f"  - {'x' * 30}\n" * 4),
        ("description: |\n      a # b\n        c\n\nz: 1\n", "description: |\n  a # b\n    c\n\nz: 1\n"),
        ("a:\r\n  - b\r\n", "a:\n  - b\n"),
        ("a: [ # why\n  ]\nb: [[\n# own\n]]\n", "# why\na: []\nb:\n  # own\n  - []\n"),
        ("a: {b: {}, c: {  # why\n  } }", "a:\n  b: {}\n  # why\n  c: {}\n"),
        ("\ufeffa: 1", "a: 1\n"),
        ("# only a comment", "# only a comment\n"),
        ("", ""),
    ],
)  # fmt: skip
def test_there_is_one_way_to_write_it(text, wanted):
    assert form(text) == wanted
    assert form(wanted) == wanted


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: f"{path.parts[-3]}/{path.name}")
def test_shipped_policies_are_formatted(path):
    assert form(path.read_text()) == path.read_text()


@pytest.mark.parametrize("text", ["[", "a: &x b", "a: 1\na: 2", "a: \x00", "a: \udcff", "[" * 99])
def test_what_is_no_policy_file_is_refused(text):
    with pytest.raises(PolicyError):
        form(text)


def disturbed(text: str, chance: random.Random) -> str:
    """The same text with comments, line breaks, empty lines and marks at odd places; mostly it is YAML still."""
    lines = text.splitlines() or [""]
    for number in range(chance.randint(0, 7)):
        at = chance.randrange(len(lines))
        line = lines[at]
        lines[at : at + 1] = chance.choice(
            [
                [" " * chance.randint(0, 9) + f"# own {number}", line],
                [f"{line}  # end {number}"],
                ["", line],
                ["---", line],
                [line.replace(", ", f", # in {number}\n          ", 1)],
                [line.replace(", ", ",\n          ", 1)],
                [line.replace("[", f"[ # open {number}\n          ", 1)],
                [line.replace("- ", f"- # dash {number}\n      ", 1)],
                [re.sub(r"(\w): ", rf"\1:  # key {number}\n            ", line, count=1)],
                [lines[chance.randrange(len(lines))]],
            ]
        )
    return "\n".join(lines) + chance.choice(["", "\n", "\n\n"])


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(TEXTS), st.randoms(use_true_random=False))
def test_formatting_twice_changes_nothing_and_meaning_stays(text, chance):
    text = disturbed(text, chance)
    try:
        once = form(text)
    except PolicyError:
        return
    assert form(once) == once
    assert sorted(re.findall(r"# \w+ \d+$", once, re.MULTILINE)) == sorted(
        re.findall(r"# \w+ \d+$", text, re.MULTILINE)
    )
    assert read(once) == read(text)


def read(text: str) -> object:
    """What the documents mean, without places; of faulty ones, what is wrong."""
    try:
        documents = parse_documents([("p.yml", text)])
    except PolicyError as exc:
        return sorted(re.sub(r"^\S+ |in line \d+|p.yml:[0-9:]+", "", line) for line in exc.problems)
    return meaning(documents)


SCALARS = st.none() | st.booleans() | st.integers() | st.text(max_size=12) | st.sampled_from(
    ["on", "1.5", "a: b", "a #b", "- x", "2026-01-01", "::", "x:", " x", "é", "\x85", "\u2028", "~"]
)  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(
    st.recursive(
        SCALARS,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
        max_leaves=12,
    ),
    st.booleans(),
)  # fmt: skip
def test_any_value_survives(value, flow):
    import yaml

    text = yaml.safe_dump(value, default_flow_style=flow, allow_unicode=True)
    try:
        once = form(text)
    except PolicyError:  # tags, anchors, control characters
        return
    assert form(once) == once
