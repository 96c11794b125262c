"""Debian 11 as a folder, and beside it what the tests import: built once, kept in .python39."""

from __future__ import annotations

import platform
import shutil
import sys
import sysconfig
import tempfile
from pathlib import Path

from roles.lab_host.module_utils.tcmicro_lab import apt
from roles.lab_host.module_utils.tcmicro_lab.tree import apt_files
from tools.kernels.image import UNNEEDED
from tools.kernels.packages import identity, own_suite, sources
from tools.process import ToolError, run

SUITE, PYTHON = "bullseye", "3.9.2"
PACKAGES = ("python3", "libbpf0", "iproute2", "procps")
LIMIT_S = 900


def userland(cache: Path) -> Path:
    """The tree of Debian 11, without any of ours in it."""
    lines = sources(apt_files(), own_suite(), SUITE)
    target = cache / f"{SUITE}-{identity(lines, PACKAGES)}"
    if not target.exists():
        draft = target.with_suffix(".partial")
        shutil.rmtree(draft, ignore_errors=True)
        try:
            run(_bootstrap(draft, lines), timeout=LIMIT_S)
        except ToolError as exc:
            last = "\n".join(str(exc).splitlines()[-8:])
            raise ToolError(f"the tree of Debian {SUITE} cannot be built:\n{last}") from exc
        draft.rename(target)
    return target


def _bootstrap(target: Path, lines: tuple[str, ...]) -> list[str]:
    return [
        *("mmdebstrap", "--variant=minbase", "--mode=root", "--format=directory"),
        f"--include={','.join(PACKAGES)}",
        *(f"--aptopt={line}" for line in apt.options(run(["apt-config", "dump"]))),
        *(f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in UNNEEDED),
        *(SUITE, str(target), *lines),
    ]


def distributions(cache: Path, lock: Path) -> Path:
    """A folder with what the lock pins, for that Python, and with what Ansible sends to hosts of its own."""
    core = Path(sysconfig.get_path("purelib")) / "ansible"
    target = cache / f"site-{identity(lock.read_bytes(), (core / 'release.py').read_bytes())}"
    if not target.exists():
        with tempfile.TemporaryDirectory(dir=cache, prefix="site-") as work:
            draft = Path(work) / "site"
            run(_pip(lock, draft), timeout=LIMIT_S)
            _host_side(core, draft / "ansible")
            draft.rename(target)
    return target


def _pip(lock: Path, target: Path) -> list[str]:
    names = ("manylinux_2_28", "manylinux_2_17", "manylinux2014")
    systems = [f"--platform={name}_{platform.machine()}" for name in names]
    return [
        *(sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"),
        *("--no-deps", "--only-binary=:all:", f"--python-version={PYTHON}", *systems),
        *("--require-hashes", "--requirement", str(lock), "--target", str(target)),
    ]


def _host_side(core: Path, target: Path) -> None:
    """ansible-core's module_utils, of the controller's release: all of Ansible that a module meets on a host."""
    target.mkdir()
    (target / "__init__.py").touch()
    shutil.copy(core / "release.py", target)
    shutil.copytree(
        core / "module_utils", target / "module_utils", ignore=shutil.ignore_patterns("__pycache__")
    )
