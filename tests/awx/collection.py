"""The collection awx.awx as it was released: taken out of the community package that requirements/awx.lock pins."""

from __future__ import annotations

import fcntl
import hashlib
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LOCK = ROOT / "requirements/awx.lock"
MODULES = "ansible_collections/awx/awx/plugins/modules"
LIMIT_S = 300


def collections() -> Path:
    """A folder for ANSIBLE_COLLECTIONS_PATH with this one collection; downloaded once, also where two ask at a time."""
    digest = hashlib.sha256(LOCK.read_bytes()).hexdigest()[:16]
    place = ROOT / "build" / f"awx-{digest}"
    place.parent.mkdir(exist_ok=True)
    with (place.parent / "awx.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not place.exists():
            with tempfile.TemporaryDirectory(dir=place.parent) as folder:
                _take_out(_download(Path(folder)), Path(folder) / "made")
                (Path(folder) / "made").rename(place)
    return place


def _download(folder: Path) -> Path:
    words = ["--quiet", "--no-deps", "--only-binary=:all:", "--require-hashes"]
    command = [sys.executable, "-m", "pip", "download", *words, "-r", str(LOCK), "-d", str(folder)]
    subprocess.run(command, check=True, timeout=LIMIT_S)
    return next(folder.glob("*.whl"))


def _take_out(wheel: Path, target: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = [n for n in archive.namelist() if n.startswith("ansible_collections/awx/awx/")]
        archive.extractall(target, names)
