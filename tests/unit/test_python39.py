"""What make test-python39 runs and leaves out, and what it mounts."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.python39 import selection
from tools.python39.__main__ import CACHE, script


@pytest.mark.parametrize("path", selection.LEFT_OUT)
def test_what_is_left_out_is_there(root, path):
    assert (root / path).exists()


def test_tests_of_modules_are_run_and_those_of_the_controller_are_not(root):
    chosen = selection.tests(root)
    assert "tests/plugins/test_installer.py" in chosen
    assert "tests/plugins/test_policy_module.py" in chosen
    assert "tests/plugins/test_gate.py" not in chosen


@pytest.mark.parametrize(
    ("line", "of_modules"),
    [
        ("from ansible_collections.tcmicro.fleet.plugins.module_utils import agent", True),
        ("from ansible_collections.tcmicro.fleet.plugins.plugin_utils import tables", False),
        ("import json", False),
    ],
)
def test_imports_tell_what_is_of_modules(tmp_path, line, of_modules):
    (tmp_path / "tests/plugins").mkdir(parents=True)
    (tmp_path / "tests/plugins/test_one.py").write_text(f"{line}\n")
    assert bool(list(selection.of_modules(tmp_path))) == of_modules


def test_everything_is_mounted_below_the_tree(root):
    lines = script(CACHE / "tree", Path("/somewhere/site"), ["tests/unit"]).splitlines()
    mounts = [line for line in lines if "mount " in line]
    assert len(mounts) == 6
    assert all(f" {CACHE}/tree/" in line for line in mounts)
    assert lines[-1].startswith(f"exec chroot {CACHE}/tree env -i ")
