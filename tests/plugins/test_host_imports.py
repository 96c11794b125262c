"""Modules and what they import can be imported by this Python, also by a host's 3.9 (make test-python39)."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from tests.conftest import ROOT
from tools.collection.stage import FLEET

ON_HOSTS = ("modules", "module_utils")
FILES = [
    path for room in ON_HOSTS for path in sorted((ROOT / FLEET / "plugins" / room).glob("*.py"))
]
# A process of its own: in this one, Ansible's loader may have taken the collection over.
IMPORT = """import importlib, json, sys, traceback
found = {}
for name in sys.argv[1:]:
    try:
        found[name] = importlib.import_module(name).__file__
    except Exception:
        found[name] = traceback.format_exc()
print(json.dumps(found))"""


def name_of(path) -> str:
    return ".".join(path.relative_to(ROOT / "collections").with_suffix("").parts)


@pytest.fixture(scope="module")
def imported() -> dict[str, str]:
    """By name, the file it came from, or why it did not."""
    argv = [sys.executable, "-c", IMPORT, *map(name_of, FILES)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_file_is_imported(imported, path):
    assert imported[name_of(path)] == str(path)
