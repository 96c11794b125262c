"""The collection of somebody who has nothing else: installed into an empty directory, run from another one by a Python
that does not know this checkout."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import tarfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from tools.collection.__main__ import build

VERSION = "9.8.7"
LIMIT_S = 300
# Site packages without their .pth files, of which one leads to the checkout.
ALONE = (
    "import runpy, sys; sys.path.append(sys.argv.pop(1)); sys.argv[0] = sys.argv.pop(1); "
    "runpy.run_path(sys.argv[0], run_name='__main__')"
)


@dataclass(frozen=True)
class Installed:
    """A place with the collection and a working directory."""

    place: Path

    @property
    def fleet(self) -> Path:
        return self.place / "collections/ansible_collections/tcmicro/fleet"

    @property
    def work(self) -> Path:
        return self.place / "work"

    @property
    def environment(self) -> dict[str, str]:
        ours = ("ANSIBLE_", "PYTHON")
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
        known = {
            "ANSIBLE_COLLECTIONS_PATH": str(self.place / "collections"),
            "ANSIBLE_HOME": str(self.place / "home"),
            "ANSIBLE_LOCAL_TEMP": str(self.place / "local"),
            "ANSIBLE_NOCOLOR": "1",
            "PYTHONPATH": "",
        }
        return {**inherited, **known}

    def run(
        self, program: str, *words: str, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*alone(program), *words],
            cwd=self.work,
            env={**self.environment, **environment},
            capture_output=True,
            text=True,
            check=False,
            timeout=LIMIT_S,
        )


def alone(program: str) -> list[str]:
    script = Path(sys.executable).with_name(program)
    return [sys.executable, "-S", "-c", ALONE, sysconfig.get_path("purelib"), str(script)]


def install(tarball: Path, place: Path) -> Installed:
    made = Installed(place)
    made.work.mkdir(parents=True)
    target = str(place / "collections")
    argv = ["collection", "install", "--offline", "-p", target, str(tarball)]
    done = made.run("ansible-galaxy", *argv)
    assert done.returncode == 0, done.stderr
    return made


@pytest.fixture(scope="session")
def tarball(root, tmp_path_factory) -> Path:
    return build(root, VERSION, tmp_path_factory.mktemp("built"))


@pytest.fixture(scope="session")
def content(tarball) -> dict[str, bytes]:
    """Every file in the tarball."""
    with tarfile.open(tarball) as tar:
        return {info.name: tar.extractfile(info).read() for info in tar if info.isfile()}


@pytest.fixture(scope="session")
def installed(tarball, tmp_path_factory) -> Installed:
    return install(tarball, tmp_path_factory.mktemp("user"))
