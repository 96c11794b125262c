"""Prometheus, Alertmanager, their checkers and a store for their samples: single programs out of Debian's packages,
unpacked into build/ and never installed, because the packages would start servers.
"""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

from tools.process import ToolError, run

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "build/prometheus"
PACKAGES = {
    "promtool": ("prometheus", "./usr/bin/promtool"),
    "prometheus": ("prometheus", "./usr/bin/prometheus"),
    "amtool": ("prometheus-alertmanager", "./usr/bin/amtool"),
    "victoria-metrics": ("victoria-metrics", "./usr/bin/victoria-metrics"),
    "alertmanager": ("prometheus-alertmanager", "./usr/bin/prometheus-alertmanager"),
}


def promtool() -> Path:
    return program("promtool")


def program(name: str) -> Path:
    """One of PACKAGES, fetched when it is not there."""
    found = FOLDER / name
    if not found.exists():
        package, member = PACKAGES[name]
        FOLDER.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=FOLDER) as folder:
            archive = _download(package, Path(folder))
            _unpack(archive, member, Path(folder)).replace(found)
    return found


def _download(package: str, folder: Path) -> Path:
    folder.chmod(0o755)  # apt downloads as a user of its own
    run(["apt-get", "download", "-q", package], cwd=folder)
    found = sorted(folder.glob(f"{package}_*.deb"))
    if not found:
        raise ToolError(f"apt-get download {package}: it left no package; try apt-get update")
    return found[0]


def _unpack(package: Path, member: str, folder: Path) -> Path:
    with subprocess.Popen(
        ["dpkg-deb", "--fsys-tarfile", str(package)], stdout=subprocess.PIPE
    ) as archive:
        argv = ["tar", "-x", "-C", str(folder), member]
        subprocess.run(argv, stdin=archive.stdout, check=True)
    return folder / member


if __name__ == "__main__":
    promtool()
