"""`make sanity`: what `ansible-test` checks, over the collection as it is shipped, with empty ignore files."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from tools.collection import ansible_test, stage

ROOT = Path(__file__).resolve().parents[2]
# What is not run over everything, and who does it instead.
ELSEWHERE = {
    "ansible-doc": "tests/plugins reads every page with it and allows no word on stderr; here it lacks the package",
    "import": "below over what runs on hosts; tests/collection imports the rest with what the controller has",
    "pylint": "ruff and mypy lint all Python code here; pylint's rules for ansible-core itself forbid the name _",
    "replace-urlopen": "plugin_utils asks Prometheus and webhooks by the standard library, without Ansible",
}
ON_HOSTS = ("plugins/modules/", "plugins/module_utils/")


def sanity(folder: Path, *words: str) -> bool:
    return ansible_test.run(folder, "sanity", "--local", *words)


def main() -> int:
    ansible_test.prepare()
    with tempfile.TemporaryDirectory(prefix="tcmicro-sanity-") as top:
        folder = Path(top) / "ansible_collections/tcmicro/fleet"
        files = stage.tree(ROOT, "0.0.0")
        # of the package that is carried, its own checkout is checked
        stage.write({n: c for n, c in files.items() if not n.startswith(stage.VENDORED)}, folder)
        skipped = [word for name in ELSEWHERE for word in ("--skip-test", name)]
        for name, why in ELSEWHERE.items():
            print(f"not run: {name}: {why}")
        passed = [sanity(folder, *skipped), sanity(folder, "--test", "import", *ON_HOSTS)]
    return 0 if all(passed) else 1


if __name__ == "__main__":
    sys.exit(main())
