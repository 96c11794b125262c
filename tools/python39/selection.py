"""Which tests are of host code, and why the others are not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tools.collection.closure import imported

UNIT, PLUGINS = "tests/unit", "tests/plugins"
# Imports by name, which the search below does not see.
IMPORTS = f"{PLUGINS}/test_host_imports.py"
CONTROLLER = "policies over an inventory are read by Ansible, on the controller"
DEVELOPER = "of the developer's machine"
MODEL = "searches the model of a change, not the agent"
LEFT_OUT = {
    f"{UNIT}/agent/test_abi.py": "compares abi.py with the C header by clang, where programs are compiled",
    f"{UNIT}/authoring/test_answers.py": CONTROLLER,
    f"{UNIT}/authoring/test_answers_page.py": CONTROLLER,
    f"{UNIT}/authoring/test_validate.py": CONTROLLER,
    f"{UNIT}/protocol/test_protocol.py": MODEL,
    f"{UNIT}/policy/test_errors_page.py": CONTROLLER,
    f"{UNIT}/policy/test_policy_page.py": CONTROLLER,
    f"{UNIT}/workspace": CONTROLLER,
    f"{UNIT}/lab": DEVELOPER,
    f"{UNIT}/test_ansible_units.py": DEVELOPER,
    f"{UNIT}/test_artifact.py": DEVELOPER,
    f"{UNIT}/test_bench.py": DEVELOPER,
    f"{UNIT}/test_bench_fleet.py": DEVELOPER,
    f"{UNIT}/test_bench_rollout.py": DEVELOPER,
    f"{UNIT}/test_bench_scale.py": DEVELOPER,
    f"{UNIT}/test_commands.py": DEVELOPER,
    f"{UNIT}/test_demo.py": DEVELOPER,
    f"{UNIT}/test_kernels.py": DEVELOPER,
    f"{UNIT}/test_keys.py": DEVELOPER,
    f"{UNIT}/test_layers.py": DEVELOPER,
    f"{UNIT}/test_metrics_page.py": DEVELOPER,
    f"{UNIT}/test_pictures.py": DEVELOPER,
    f"{UNIT}/test_python39.py": DEVELOPER,
    f"{UNIT}/test_reasons_page.py": DEVELOPER,
    f"{UNIT}/test_tutorial.py": DEVELOPER,
}
COLLECTION = "ansible_collections.tcmicro.fleet.plugins."
ON_HOSTS = (f"{COLLECTION}modules", f"{COLLECTION}module_utils")


def tests(root: Path) -> list[str]:
    """What is given to pytest: the unit tests, and of the collection's those of modules."""
    return [UNIT, IMPORTS, *(str(path.relative_to(root)) for path in of_modules(root))]


def of_modules(root: Path) -> Iterator[Path]:
    """Test files that import modules or what modules import, and nothing that is the controller's."""
    for path in sorted((root / PLUGINS).glob("test_*.py")):
        names = set(imported(path.read_text()))
        ours = {name for name in names if name.startswith(COLLECTION)}
        foreign = any(
            name.startswith("ansible.") and not name.startswith("ansible.module_utils")
            for name in names
        )
        if ours and not foreign and all(name.startswith(ON_HOSTS) for name in ours):
            yield path
