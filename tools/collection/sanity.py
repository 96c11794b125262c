"""`make sanity`: what `ansible-test` checks, over the collection as it is shipped, with empty ignore files.

ansible-test wants a folder outside of git, and makes environments of its own below its home, which is kept in build/.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tools.collection import stage

ROOT = Path(__file__).resolve().parents[2]
HOME = ROOT / "build/sanity"
LIMIT_S = 900
PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
# What is not run over everything, and who does it instead.
ELSEWHERE = {
    "ansible-doc": "tests/plugins reads every page with it and allows no word on stderr; here it lacks the package",
    "import": "below over what runs on hosts; tests/collection imports the rest with what the controller has",
    "pylint": "ruff and mypy lint all Python code here; pylint's rules for ansible-core itself forbid the name _",
    "replace-urlopen": "plugin_utils asks Prometheus and webhooks by the standard library, without Ansible",
}
ON_HOSTS = ("plugins/modules/", "plugins/module_utils/")
# ansible-test downloads pip for its environments; the Python here brings one.
GET_PIP = """\
import subprocess
import sys

subprocess.run([sys.executable, "-m", "ensurepip", "--default-pip"], check=True)
"""


def prepare(home: Path) -> None:
    cache = home / ".ansible/test/cache"
    cache.mkdir(parents=True, exist_ok=True)
    (cache / "get_pip_24_2.py").write_text(GET_PIP)


def check(folder: Path, *words: str) -> bool:
    """Run the tests in a collection; what they print is printed."""
    argv = ["ansible-test", "sanity", "--local", "--python", PYTHON, "--color", "no", *words]
    environment = {**os.environ, "HOME": str(HOME)}
    done = subprocess.run(
        argv,
        cwd=folder,
        env=environment,
        timeout=LIMIT_S,
        check=False,
        capture_output=True,
        text=True,
    )
    lines = (done.stdout + done.stderr).splitlines()
    told = [
        line for line in lines if line.startswith(("Running", "ERROR", "FATAL", "WARNING: Skip"))
    ]
    print("\n".join(told), flush=True)
    return done.returncode == 0


def main() -> int:
    prepare(HOME)
    with tempfile.TemporaryDirectory(prefix="tcmicro-sanity-") as top:
        folder = Path(top) / "ansible_collections/tcmicro/fleet"
        files = stage.tree(ROOT, "0.0.0")
        # of the package that is carried, its own checkout is checked
        stage.write({n: c for n, c in files.items() if not n.startswith(stage.VENDORED)}, folder)
        skipped = [word for name in ELSEWHERE for word in ("--skip-test", name)]
        for name, why in ELSEWHERE.items():
            print(f"not run: {name}: {why}")
        passed = [check(folder, *skipped), check(folder, "--test", "import", *ON_HOSTS)]
    return 0 if all(passed) else 1


if __name__ == "__main__":
    sys.exit(main())
