"""Every file of the collection as it is shipped, by its path in it. One list says where each comes from."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

from tools.collection.closure import needed
from tools.process import ToolError

FLEET = Path("collections/ansible_collections/tcmicro/fleet")
VENDORED = "plugins/plugin_utils/_vendor"
PROGRAMS = "scripts/"
# Of the developer's machine alone.
NOT_SHIPPED = ("roles/lab", "playbooks/lab", "tests/output/")
USELESS = {"__pycache__", ".mypy_cache", ".ruff_cache", ".pytest_cache"}


def tree(source: Path, version: str) -> dict[str, bytes]:
    """The collection of a checkout, under a version."""
    files = {
        **dict(_below(source / FLEET)),
        **{f"{top}/{name}": content for top in ("roles", "playbooks", "docs", "monitoring")
           for name, content in _below(source / top)},
        **{f"{VENDORED}/{name}": content for name, content in needed(source, source / FLEET / "plugins").items()},
        "LICENSE": (source / "LICENSE").read_bytes(),
    }  # fmt: skip
    shipped = {name: content for name, content in files.items() if not name.startswith(NOT_SHIPPED)}
    return {**shipped, "galaxy.yml": _with_version(shipped["galaxy.yml"], version)}


def _below(folder: Path) -> Iterator[tuple[str, bytes]]:
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        if path.is_file() and path.suffix != ".pyc" and not USELESS.intersection(name.parts):
            yield str(name), path.read_bytes()


def _with_version(galaxy: bytes, version: str) -> bytes:
    text, count = re.subn(r"(?m)^version: .*$", f"version: {version}", galaxy.decode())
    if count != 1:
        raise ToolError(f"galaxy.yml: {count} lines begin with version:, needed is one")
    return text.encode()


def write(files: Mapping[str, bytes], folder: Path) -> None:
    """These files and no others."""
    shutil.rmtree(folder, ignore_errors=True)
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        path.chmod(0o755 if name.startswith(PROGRAMS) else 0o644)
