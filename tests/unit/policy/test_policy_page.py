"""docs/policy.md says what is so."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tcmicro_agent.cli import main
from tcmicro_agent.errors import PolicyError
from tcmicro_agent.policy.source import parse_documents, parse_policies

ROOT = Path(__file__).resolve().parents[3]
PAGE = (ROOT / "docs/policy.md").read_text()
WHOLE, TESTS, FAULTY = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
SAID = re.findall(r"```text\n(.*?)```", PAGE, re.DOTALL)[0]


def test_example_is_a_policy():
    found = parse_documents([("policies/db.yml", WHOLE)])
    assert [len(found.policies), len(found.address_sets), len(found.port_sets)] == [1, 1, 1]


def test_example_of_a_test_is_one():
    (found,) = parse_documents([("policies/db.yml", TESTS)]).tests
    assert len(found.cases) == 2


def test_what_validate_prints_is_what_it_prints(monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    (command, wanted) = re.search(
        r"```console\n\$ tc-micro (.*?)\n(.*?)```", PAGE, re.DOTALL
    ).groups()
    assert main(command.split()) == 0
    assert capsys.readouterr().out == wanted


def test_errors_are_those_of_the_faulty_example():
    with pytest.raises(PolicyError) as caught:
        parse_policies([("policies/db.yml", FAULTY)])
    assert caught.value.problems == SAID.splitlines()
