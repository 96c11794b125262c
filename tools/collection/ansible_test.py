"""`ansible-test` over a collection, which has to be outside of git; its environments are kept below build/."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HOME = ROOT / "build/sanity"
LIMIT_S = 900
PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
# ansible-test downloads pip for its environments; the Python here brings one.
GET_PIP = """\
import subprocess
import sys

subprocess.run([sys.executable, "-m", "ensurepip", "--default-pip"], check=True)
"""


def prepare(home: Path = HOME) -> None:
    cache = home / ".ansible/test/cache"
    cache.mkdir(parents=True, exist_ok=True)
    (cache / "get_pip_24_2.py").write_text(GET_PIP)


def run(folder: Path, kind: str, *words: str) -> bool:
    """Whether tests of a kind (sanity or units) pass in a collection; what they say is printed."""
    argv = ["ansible-test", kind, "--python", PYTHON, "--color", "no", *words]
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
    print("\n".join(line for line in lines if _told(line)), flush=True)
    return done.returncode == 0


def _told(line: str) -> bool:
    return line.startswith(("Running", "ERROR", "FATAL", "WARNING: Skip", "FAILED", "=====", "E  "))
