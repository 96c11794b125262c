"""The rules as shipped, and the programs that Prometheus itself checks them with."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import yaml

from tools.process import ToolError
from tools.promtool import program

ROOT = Path(__file__).resolve().parents[2]
RULES = ROOT / "monitoring/rules"
CASES = Path(__file__).with_name("cases")


def rules():
    """Every rule as (file name, rule)."""
    return [
        (path.name, rule)
        for path in sorted(RULES.glob("*.yml"))
        for group in yaml.safe_load(path.read_text())["groups"]
        for rule in group["rules"]
    ]


def alerts():
    return {rule["alert"]: rule for _, rule in rules() if "alert" in rule}


@pytest.fixture(scope="session")
def tool():
    """A program by name; where it cannot be fetched the test is skipped, in CI it fails."""

    def get(name):
        try:
            return program(name)
        except ToolError as exc:
            if os.environ.get("CI"):
                raise
            pytest.skip(f"{name} cannot be fetched: {exc}")

    return get
