"""Prometheus' own checker: the one program out of Debian's package, unpacked into build/ and never installed, because
the package would start a server.
"""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

from tools.process import ToolError, run

ROOT = Path(__file__).resolve().parents[1]
PROMTOOL = ROOT / "build/prometheus/promtool"
PACKAGE, MEMBER = "prometheus", "./usr/bin/promtool"


def promtool() -> Path:
    """The program, fetched when it is not there."""
    if not PROMTOOL.exists():
        PROMTOOL.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=PROMTOOL.parent) as folder:
            _unpack(_download(Path(folder)), Path(folder)).replace(PROMTOOL)
    return PROMTOOL


def _download(folder: Path) -> Path:
    folder.chmod(0o755)  # apt downloads as a user of its own
    run(["apt-get", "download", "-q", PACKAGE], cwd=folder)
    found = sorted(folder.glob(f"{PACKAGE}_*.deb"))
    if not found:
        raise ToolError(f"apt-get download {PACKAGE}: it left no package; try apt-get update")
    return found[0]


def _unpack(package: Path, folder: Path) -> Path:
    with subprocess.Popen(
        ["dpkg-deb", "--fsys-tarfile", str(package)], stdout=subprocess.PIPE
    ) as archive:
        argv = ["tar", "-x", "-C", str(folder), MEMBER]
        subprocess.run(argv, stdin=archive.stdout, check=True)
    return folder / MEMBER


if __name__ == "__main__":
    promtool()
