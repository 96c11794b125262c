"""`make test-python39`: the unit tests of agent and modules in a Debian 11, as its Python 3.9 runs them."""

from __future__ import annotations

import argparse
import os
import shlex
import subprocess
import sys
from pathlib import Path

from tools.process import ToolError
from tools.python39 import selection, tree

ROOT = Path(__file__).resolve().parents[2]
CACHE = ROOT / ".python39"
LIMIT_S = 1800
EXAMPLES_SCALE = "0.03"
MEANS = "every random example is tried on the controller's Python"


def script(folder: Path, site: Path, words: list[str]) -> str:
    """Shell lines that mount what tests need below the tree and run pytest there; mounts end with their namespace."""
    mounts = [f"mount --rbind {name} {folder}{name}" for name in ("/proc", "/sys", "/dev")]
    binds = [
        f"mkdir -p {folder}{path}; mount --bind {path} {folder}{path}" for path in (ROOT, site)
    ]
    known = {
        "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
        "LC_ALL": "C.UTF-8",
        "PYTHONPATH": str(site),
        "PYTHONPYCACHEPREFIX": "/tmp/pycache",
        "TCM_EXAMPLES_SCALE": os.environ.get("TCM_EXAMPLES_SCALE", EXAMPLES_SCALE),
        "CI": os.environ.get("CI", ""),
    }
    variables = [f"{name}={value}" for name, value in known.items()]
    inside = f"cd {shlex.quote(str(ROOT))} && exec python3 -m pytest {shlex.join(words)}"
    command = shlex.join(["chroot", str(folder), "env", "-i", *variables, "sh", "-c", inside])
    names = f"echo 127.0.0.1 localhost > {folder}/etc/hosts"
    return "\n".join(
        ["set -e", f"mount -t tmpfs tmp {folder}/tmp", names, *mounts, *binds, f"exec {command}"]
    )


def run(words: list[str]) -> int:
    """Exit code of pytest, in a mount and process namespace of its own."""
    CACHE.mkdir(exist_ok=True)
    folder = tree.userland(CACHE)
    site = tree.distributions(CACHE, ROOT / "requirements/python39.lock")
    argv = ["unshare", "--mount", "--propagation", "private", "--fork", "--kill-child", "--"]
    lines = script(folder, site, words)
    return subprocess.run(
        [*argv, "sh", "-c", lines], cwd=ROOT, timeout=LIMIT_S, check=False
    ).returncode


def main() -> int:
    parser = argparse.ArgumentParser(prog="make test-python39", description=__doc__)
    parser.add_argument("tests", nargs="*", help="only these")
    options = parser.parse_args()
    for path, why in selection.LEFT_OUT.items():
        print(f"not run: {path}: {why}")
    print(f"reduced: TCM_EXAMPLES_SCALE={EXAMPLES_SCALE}: {MEANS}", flush=True)
    ignored = [f"--ignore={path}" for path in selection.LEFT_OUT]
    wanted = options.tests or selection.tests(ROOT)
    words = ["-q", "-p", "no:cacheprovider", "--junit-xml=build/junit-python39.xml"]
    try:
        return run([*words, *ignored, *wanted])
    except (ToolError, subprocess.TimeoutExpired) as exc:
        print(f"test-python39: {exc}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
