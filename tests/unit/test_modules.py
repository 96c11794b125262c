"""Every module of the agent can be imported by the Python that runs this, also by a host's 3.9 (make test-python39)."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

import tcmicro_agent

TOP = Path(tcmicro_agent.__file__).parent
# Of the controller, where Ansible is.
CONTROLLER = "workspace"


def names():
    for path in sorted(TOP.rglob("*.py")):
        parts = path.relative_to(TOP.parent).with_suffix("").parts
        if CONTROLLER not in parts and parts[-1] != "__main__":
            yield ".".join(part for part in parts if part != "__init__")


@pytest.mark.parametrize("name", list(names()))
def test_module_is_imported(name):
    assert importlib.import_module(name).__name__ == name
