"""Modules and what they import can be imported by this Python, also by a host's 3.9 (make test-python39)."""

from __future__ import annotations

import importlib

import pytest

from tests.conftest import ROOT
from tools.collection.stage import FLEET

ON_HOSTS = ("modules", "module_utils")
FILES = [
    path for room in ON_HOSTS for path in sorted((ROOT / FLEET / "plugins" / room).glob("*.py"))
]


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_file_is_imported(path):
    name = ".".join(path.relative_to(ROOT / "collections").with_suffix("").parts)
    module = importlib.import_module(name)
    assert module.__file__ == str(path)
