"""docs/schema/policy.v1.json: as the model says, and never stricter than the reader."""

from __future__ import annotations

import json
import re
from functools import partial
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from tcmicro_agent.errors import PolicyError
from tcmicro_agent.policy.problems import Problems
from tcmicro_agent.policy.source import parse_documents
from tcmicro_agent.policy.source.nodes import Node, read_documents
from tools.policy_schema import SCHEMA, page

ROOT = Path(__file__).resolve().parents[3]
FOLDERS = ("inventories/*/policies", "tests/faults/*/policies", "tests/fleet/*/policies")
FILES = sorted(path for folder in FOLDERS for path in ROOT.glob(f"{folder}/*.y*ml"))
VALIDATOR = Draft202012Validator(json.loads(SCHEMA.read_text()))

FULL = """\
apiVersion: tcmicro/v1
kind: Policy
metadata: {name: db-in, owner: a, ticket: b, description: c}
spec:
  tier: app
  mode: protect
  applyTo: {groups: [db], labels: {env: prod, rack: 7}, hosts: [db1], exceptHosts: [db9]}
  default: {ingress: deny, egress: allow, forward: deny}
  ingress:
    - id: pg
      action: deny
      from:
        - {groups: [web], labels: {tier: front}, hosts: [web1]}
        - {cidrs: [10.0.0.0/8, "fd00::/8"], addressSets: [office], except: [10.1.0.0/16, set:office]}
        - {entity: world}
      ports: [tcp/5432, udp/1-9, sctp/3868, icmp, icmp/echo-request, icmp6/139, set:web]
      startsAt: "2026-12-01T08:00:00Z"
      expires: 2026-12-15T18:00:00Z
      log: all
      owner: a
      ticket: b
      description: c
  egress:
    - {id: out, to: [{entity: any}], ports: [any]}
---
apiVersion: tcmicro/v1
kind: AddressSet
metadata: {name: office}
spec: {cidrs: [10.1.2.0/24]}
---
apiVersion: tcmicro/v1
kind: PortSet
metadata: {name: web}
spec: {ports: [tcp/80]}
---
apiVersion: tcmicro/v1
kind: PolicyTest
metadata: {name: t}
spec:
  cases:
    - {from: {host: a}, to: {group: b}, port: tcp/1, expect: allow, description: c}
    - {from: {address: "fd00::1"}, to: {host: b}, port: icmp, expect: deny}
"""


def plain(node: Node) -> object:
    """What an editor sees of it."""
    if isinstance(node.value, dict):
        return {key: plain(value) for key, value in node.value.items()}
    return list(map(plain, node.value)) if isinstance(node.value, tuple) else node.value


def documents(text: str) -> list[object]:
    problems = Problems()
    found = [plain(node) for node in read_documents("p.yml", text, problems)]
    problems.raise_any()
    return found


def valid(document: object) -> bool:
    return VALIDATOR.is_valid(document)


def readable(document: object) -> bool:
    """Whether the reader takes it; names that other documents define may be missing."""
    try:
        parse_documents([("p.yml", json.dumps(document))])
    except PolicyError as exc:
        return all("TCM1403" in line for line in exc.problems)
    return True


def test_schema_is_the_one_that_make_format_writes():
    assert SCHEMA.read_text() == page(), "run 'make format'"


def test_schema_is_one():
    Draft202012Validator.check_schema(json.loads(page()))


@pytest.mark.parametrize("path", FILES, ids=[str(path.relative_to(ROOT)) for path in FILES])
def test_policies_of_this_repository_validate(path):
    for document in documents(path.read_text()):
        assert not list(VALIDATOR.iter_errors(document))


def test_examples_of_the_page_validate():
    whole, tests, faulty = re.findall(
        r"```yaml\n(.*?)```", (ROOT / "docs/policy.md").read_text(), re.DOTALL
    )
    assert [valid(document) for document in documents(whole)] == [True, True, True]
    assert [valid(document) for document in documents(tests)] == [True]
    assert [valid(document) for document in documents(faulty)] == [False]


def test_every_field_validates():
    parse_documents([("p.yml", FULL)])
    assert [valid(document) for document in documents(FULL)] == [True] * 4


def places(value: object, path: tuple[object, ...] = ()):
    """The path of everything in a document."""
    yield path
    items = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    for key, inner in items:
        yield from places(inner, (*path, key))


def changed(document: object, path: tuple[object, ...], change) -> object:
    copy = json.loads(json.dumps(document))
    if not path:
        return change(copy)
    holder = copy
    for key in path[:-1]:
        holder = holder[key]
    holder[path[-1]] = change(holder[path[-1]])
    return copy


def misspelt(key: str, record: dict) -> dict:
    return {("x" + name if name == key else name): value for name, value in record.items()}


def test_fields_of_the_schema_are_those_of_the_reader():
    """A field of the whole example that is spelt otherwise is refused by both, wherever it stands."""
    for document in documents(FULL):
        for path in places(document):
            if path and isinstance(path[-1], str) and "labels" not in path[:-1]:
                wrong = changed(document, path[:-1], partial(misspelt, path[-1]))
                assert not valid(wrong), path
                assert not readable(wrong), path


def test_example_has_every_field_of_the_schema():
    named = set()

    def look(value: object) -> None:
        if isinstance(value, dict):
            named.update(value.get("properties", {}))
        for inner in (
            value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
        ):
            look(inner)

    look(json.loads(page()))
    used = {key for document in documents(FULL) for path in places(document) for key in path}
    assert named <= used


VALUES = [
    None,
    True,
    0,
    7,
    "",
    "x",
    "X_",
    "10.0.0.0/8",
    "tcp/1",
    "set:x",
    "any",
    [],
    {},
    ["x"],
    {"x": "x"},
]


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(documents(FULL)), st.data())
def test_what_the_reader_takes_validates(document, data):
    for _ in range(data.draw(st.integers(1, 3))):
        path = data.draw(st.sampled_from([path for path in places(document) if path]))
        value = data.draw(st.sampled_from(VALUES))
        document = changed(document, path, lambda _, value=value: value)
    if readable(document):
        assert not list(VALIDATOR.iter_errors(document))


WRONG = [
    ("tcmicro/v1\nkind: Policy\n", "v2\nkind: Policy\n"),
    ("kind: AddressSet", "kind: Adresses"),
    ("mode: protect", "mode: protekt"),
    ("name: db-in", "name: Db_in"),
    ("[db]", "[]"),
    ("[db]", "[db, db]"),
    ("[db]", "db"),
    ("rack: 7", "rack: true"),
    ("tcp/5432", "5432"),
    ("tcp/5432", "tpc/5432"),
    ("10.0.0.0/8", "10.0.0.0"),
    ("entity: world", "entity: earth"),
    ("entity: world", "entity: world, groups: [a]"),
    ("addressSets: [office]", "addressSets: [office], groups: [web]"),
    ("expires: 2026-12-15T18:00:00Z", "expires: 2026-12-15"),
    ("log: all", "log: some"),
    ("ingress: deny, ", ""),
    ("{host: a}", "{host: a, group: b}"),
    ("{host: a}", "a"),
    ("port: tcp/1", "port: any"),
    ("expect: allow", "expect: yes"),
]


@pytest.mark.parametrize(("old", "new"), WRONG)
def test_what_is_wrong_in_shape_does_not(old, new):
    assert FULL.count(old) == 1
    wrong = FULL.replace(old, new)
    assert [valid(document) for document in documents(wrong)].count(False) == 1
    with pytest.raises(PolicyError):
        parse_documents([("p.yml", wrong)])
