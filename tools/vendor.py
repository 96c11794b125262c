"""The pure-Python packages that travel inside the artifact, as pinned by requirements/agent.lock."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

from tools.process import ToolError, run

PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet")
EXACT = ("--no-deps", "--require-hashes", "--no-compile", "--only-binary", ":all:")
USELESS = {"tests", "docs", "__pycache__"}


def fetch(lock: Path, cache: Path) -> Path:
    """A folder with what the lock names, filled once per content of the lock."""
    folder = cache / hashlib.sha256(lock.read_bytes()).hexdigest()[:16]
    if not (folder / ".complete").exists():
        run([*PIP, *EXACT, "--upgrade", "-r", str(lock), "--target", str(folder)])
        (folder / ".complete").touch()
    return folder


def wanted(path: Path) -> bool:
    """Code and licences; not scripts, tests, or what pip noted for itself."""
    if USELESS.intersection(path.parts) or path.parts[0] == "bin":
        return False
    if path.parts[0].endswith(".dist-info"):
        return path.name == "METADATA" or "licenses" in path.parts
    return path.suffix == ".py" or path.name == "py.typed"


def packages(lock: Path, cache: Path) -> dict[str, bytes]:
    """Path below lib/ → content."""
    folder = fetch(lock, cache)
    names = [path.relative_to(folder) for path in sorted(folder.rglob("*")) if path.is_file()]
    found = {str(name): (folder / name).read_bytes() for name in names if wanted(name)}
    if foreign := sorted(str(name) for name in names if name.suffix == ".so"):
        raise ToolError(f"{lock}: only pure Python can travel in the artifact, found {foreign[0]}")
    return found
