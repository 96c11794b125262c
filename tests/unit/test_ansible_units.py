"""Which tests go with the collection to `ansible-test units`, and where it finds them."""

from __future__ import annotations

import pytest

from tools.collection import units


def test_tests_that_need_the_checkout_stay_here(root):
    names = {path.name for path in units.chosen(root / "tests/plugins")}
    assert {"test_installer.py", "test_journal.py", "test_policy_module.py"} <= names
    assert not {"test_bundles.py", "test_gate.py", "test_documentation.py"} & names


@pytest.mark.parametrize(
    ("name", "folder"), [("test_installer.py", "modules"), ("test_journal.py", "plugin_utils")]
)
def test_tests_of_hosts_are_told_from_those_of_the_controller(root, name, folder):
    path = root / "tests/plugins" / name
    assert units.place(path) == f"tests/unit/plugins/{folder}/{name}"
