"""`make tutorial`: docs/tutorial.md as somebody new goes through it, from a clean clone of this checkout's last commit.

Home directory, clone and lab are of this run alone and removed afterwards.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tools.process import ToolError, run
from tools.tutorial.script import script

ROOT = Path(__file__).resolve().parents[2]
LIMIT_S = 3600
# What would lead a new user's commands back to this checkout.
OURS = ("ANSIBLE_", "PYTHON", "VIRTUAL_ENV", "MAKE", "MFLAGS")


def environment(home: Path) -> dict[str, str]:
    """As a new user has it, with this machine's package registries."""
    inherited = {name: text for name, text in os.environ.items() if not name.startswith(OURS)}
    own = str(ROOT / ".venv")
    path = [part for part in os.environ["PATH"].split(":") if not part.startswith(own)]
    return {**inherited, "HOME": str(home), "PATH": ":".join(path), "LC_ALL": "C.UTF-8"}


def follow(clone: Path, home: Path) -> int:
    """Exit code of the page, read in the clone; the lab is down afterwards."""
    known = environment(home)
    try:
        page = (clone / "docs/tutorial.md").read_text()
        argv = ["bash", "-c", script(page)]
        return subprocess.run(argv, cwd=clone, env=known, timeout=LIMIT_S, check=False).returncode
    finally:
        subprocess.run(["make", "lab-down"], cwd=clone, env=known, timeout=600, check=False)


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="tcmicro-tutorial-", dir="/var/tmp") as place:
        clone, home = Path(place) / "tcmicro", Path(place) / "home"
        home.mkdir()
        try:
            run(["git", "clone", "--quiet", str(ROOT), str(clone)])
            code = follow(clone, home)
        except (ToolError, subprocess.TimeoutExpired) as exc:
            print(f"tutorial: {exc}", file=sys.stderr)
            return 1
    print(f"tutorial: {'every command did what the page says' if code == 0 else 'stopped there'}")
    return code


if __name__ == "__main__":
    sys.exit(main())
