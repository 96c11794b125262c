"""Whatever the text, reading ends soon and with policies or PolicyError, never with a traceback."""

from __future__ import annotations

import json
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tcmicro_agent.errors import PolicyError
from tcmicro_agent.policy.source import parse_policies
from tcmicro_agent.policy.source.nodes import MAX_DEPTH, MAX_LENGTH

POLICY = """\
apiVersion: tcmicro/v1
kind: Policy
metadata: {name: db-in, owner: "me"}
spec:
  tier: app
  mode: protect
  applyTo: {groups: [db], labels: {env: prod}, exceptHosts: [db9]}
  default: {ingress: deny, egress: allow}
  ingress:
    - id: pg
      from: [{groups: [web]}, {cidrs: [10.0.0.0/8], except: [10.1.0.0/16]}, {entity: any}]
      ports: [tcp/5432, udp/1-9, icmp]
"""
LAUGHS = "a: &a [x, x]\n" + "".join(
    f"{name}: &{name} [*{last}, *{last}]\n" for last, name in zip("abcdefgh", "bcdefghi")
)

HOSTILE = {
    "billion laughs": (LAUGHS, "TCM1003"),
    "merge key": ("a: &a {b: c}\nd: {<<: *a}", "TCM1003"),
    "python object": ("!!python/object/apply:os.system [id]", "TCM1003"),
    "deep flow": ("[" * 50_000, "TCM1004"),
    "deep mapping": ("{a: " * 50_000, "TCM1004"),
    "deep block": ("- " * 50_000, "TCM1004"),
    "deep complex keys": ("? " * 50_000, "TCM1004"),
    "huge scalar": ("a: " + "x" * MAX_LENGTH, "TCM1004"),
    "huge number": ("kind: " + "9" * 10_000, "TCM1102"),
    "escape beyond Unicode": (r'a: "\UFFFFFFFF"', "TCM1001"),
    "huge version": (f"%YAML {'9' * 5000}.1\n---\na", "TCM1001"),
    "control character": ("a: \x1b[2J", "TCM1001"),
    "lone surrogate": ("a: \udcff", "TCM1001"),
    "unknown alias": ("a: *b", "TCM1003"),
    "tab": ("a:\n\t- b", "TCM1001"),
    "unclosed quote": ('a: "b', "TCM1001"),
}


def read(text: str) -> list[str]:
    try:
        parse_policies([("p.yml", text)])
    except PolicyError as exc:
        return exc.problems
    return []


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_text_is_refused(name):
    text, code = HOSTILE[name]
    found = read(text)
    assert any(f"error {code}: " in line for line in found), found
    assert all(
        line.startswith("p.yml:") and len(line) < 400 and line.isprintable() for line in found
    )


def test_depth_that_policies_need_is_allowed():
    assert any("TCM1202" in line for line in read("[" * MAX_DEPTH + "]" * MAX_DEPTH))


@settings(max_examples=300, deadline=None)
@given(
    st.text(alphabet=st.sampled_from(list("ab01:-?[]{},&*!|>'\"%@`#~\\ \n\t/.\x00é")), max_size=60)
)
def test_any_text_ends_in_policies_or_faults(text):
    read(text)


@settings(max_examples=200, deadline=None)
@given(st.randoms(use_true_random=False))
def test_any_damage_to_a_policy_ends_in_policies_or_faults(chance: random.Random):
    text = list(POLICY)
    for _ in range(chance.randint(1, 6)):
        at = chance.randrange(len(text))
        text[at : at + chance.randint(0, 4)] = chance.choice(
            ["", "[", "}", ": ", "\n", "- ", "null", "3", "true", "&a ", "*a", "!t ", '"', "x"]
        )
    read("".join(text))


FIELDS = [
    "metadata",
    "name",
    "spec",
    "tier",
    "mode",
    "applyTo",
    "groups",
    "labels",
    "hosts",
    "default",
]
FIELDS += ["ingress", "egress", "id", "action", "from", "to", "ports", "cidrs", "except", "entity"]
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(FIELDS),
            inner,
            max_size=5,
        )
    ),
    max_leaves=20,
)


@settings(max_examples=300, deadline=None)
@given(VALUES, VALUES)
def test_any_shape_of_a_policy_ends_in_policies_or_faults(rules, spec):
    head = {"apiVersion": "tcmicro/v1", "kind": "Policy", "metadata": {"name": "a"}}
    read(json.dumps({**head, "spec": spec}))
    whole = {
        "mode": "protect",
        "applyTo": {"groups": ["a"]},
        "default": {"ingress": "deny", "egress": "deny"},
    }
    read(json.dumps({**head, "spec": {**whole, "ingress": [rules]}}))
