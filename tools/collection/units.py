"""The unit tests of the collection by `ansible-test units`, as somebody has them who works on it without this checkout.

They are those of tests/plugins that need nothing else of the checkout; ansible-test wants them below tests/unit. The
others run here alone, in `make check`.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tools.collection import ansible_test, stage
from tools.collection.closure import imported

ROOT = Path(__file__).resolve().parents[2]
TESTS = ROOT / "tests/plugins"
COLLECTION = "ansible_collections"
# What ansible-test has in its environment, and Python itself.
THERE = {*sys.stdlib_module_names, "pytest", "yaml", "ansible", COLLECTION}
REQUIREMENTS = "numpy\nscipy\n"
ON_HOSTS = ("plugins.modules", "plugins.module_utils")


def chosen(folder: Path) -> Iterator[Path]:
    """Test files that import the collection, and nothing that is not there without the checkout."""
    for path in sorted(folder.glob("test_*.py")):
        tops = {name.partition(".")[0] for name in imported(path.read_text())}
        if COLLECTION in tops and tops <= THERE:
            yield path


def place(path: Path) -> str:
    """Where ansible-test looks for it: what is of hosts it runs with a host's Python, too."""
    of_hosts = any(word in path.read_text() for word in ON_HOSTS)
    return f"tests/unit/plugins/{'modules' if of_hosts else 'plugin_utils'}/{path.name}"


def main() -> int:
    ansible_test.prepare()
    with tempfile.TemporaryDirectory(prefix="tcmicro-units-") as top:
        folder = Path(top) / "ansible_collections/tcmicro/fleet"
        tests = {place(path): path.read_bytes() for path in chosen(TESTS)}
        requirements = {"tests/unit/requirements.txt": REQUIREMENTS.encode()}
        stage.write({**stage.tree(ROOT, "0.0.0"), **tests, **requirements}, folder)
        print(f"{len(tests)} files of {TESTS.relative_to(ROOT)}", flush=True)
        return 0 if ansible_test.run(folder, "units", "--requirements", "--venv") else 1


if __name__ == "__main__":
    sys.exit(main())
