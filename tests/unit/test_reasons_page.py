"""docs/reasons.md is what the header and the hints say, and leaves no reason out."""

from __future__ import annotations

import pytest

from tcmicro_agent.abi import DENY_REASONS, Reason
from tools import reasons


def rows(text: str) -> dict[str, list[str]]:
    """Cells of each row by reason."""
    lines = [line for line in text.splitlines() if line.startswith("| <a id=")]
    cells = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]
    return {row[1].strip("`"): row for row in cells}


def test_the_page_is_up_to_date():
    wanted = reasons.page(reasons.HEADER.read_text())
    assert reasons.PAGE.read_text() == wanted, "docs/reasons.md is stale: run 'make format'"


@pytest.mark.parametrize("reason", Reason, ids=lambda reason: reason.name.lower())
def test_every_reason_says_what_it_means_and_what_to_do(reason):
    number, name, verdict, meaning, hint, told = rows(reasons.PAGE.read_text())[reason.name.lower()]
    assert number.endswith(f">{reason.value}")
    assert name == f"`{reason.name.lower()}`"
    assert verdict == ("drop" if reason in DENY_REASONS else "pass")
    assert min(len(meaning), len(hint)) > 10
    assert told in ("yes", "on request")


def test_a_changed_comment_makes_the_page_stale():
    header = reasons.HEADER.read_text()
    changed = header.replace("a rule denies it", "some rule denies it")
    assert changed != header
    assert "some rule denies it" in rows(reasons.page(changed))["rule_deny"][3]


def test_there_is_a_hint_for_every_reason_and_no_other():
    assert set(reasons.HINTS) == set(Reason)
