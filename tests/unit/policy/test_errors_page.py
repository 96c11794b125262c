"""docs/errors.md explains every code, and its examples provoke what they are said to provoke."""

from __future__ import annotations

import re

import pytest

from tcmicro_agent.policy.catalogue import ADVICE, PAGE
from tcmicro_agent.policy.codes import TITLES, WARNINGS, Code
from tools.errors import page
from tools.errors.examples import EXAMPLES, FILE, POLICY, Example, changed

FOUND = re.compile(r"^(\S+): (error|warning) (TCM\d{4}): (.+)$", re.MULTILINE)


def test_the_page_is_up_to_date():
    wanted = page.page()
    assert (page.ROOT / PAGE).read_text() == wanted, f"{PAGE} is stale: run 'make format'"


@pytest.mark.parametrize("code", Code, ids=lambda code: code.name.lower())
def test_the_example_of_a_code_provokes_it_and_no_other(code, tmp_path):
    found = FOUND.findall(page.said(EXAMPLES[code], tmp_path))
    assert found
    assert {(level, number) for _, level, number, _ in found} == {(code.severity.value, code.value)}
    if code not in (Code.UNREADABLE, Code.INVENTORY, Code.INVENTORY_UNREADABLE):
        assert all(re.fullmatch(rf"{FILE}:\d+:\d+", place) for place, *_ in found)


def test_the_unchanged_example_provokes_nothing(tmp_path):
    assert page.said(Example(), tmp_path).startswith("0 errors, 0 warnings: 1 policy in 1 file")


def test_an_example_that_changes_nothing_is_noticed():
    with pytest.raises(ValueError, match="is not in the example"):
        changed("nothing of the kind", POLICY)


def test_every_code_has_a_title_a_reason_a_way_out_and_an_example():
    assert set(TITLES) == set(ADVICE) == set(EXAMPLES) == set(Code)
    assert set(Code) > WARNINGS
    for advice in ADVICE.values():
        assert min(len(advice.why), len(advice.fix)) > 15


def test_every_code_has_its_own_number_and_anchor():
    text = (page.ROOT / PAGE).read_text()
    for code in Code:
        assert text.count(f'<a id="{code.value.lower()}"></a>') == 1
    assert [code.value for code in Code] == sorted(code.value for code in Code)
