"""What every test shares: markers that say what a machine must offer, and hypothesis without a clock."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path

import pytest
from hypothesis import settings

ROOT = Path(__file__).resolve().parents[1]

settings.register_profile("tcmicro", deadline=None)
settings.load_profile("tcmicro")

# A shell has what it runs in the background ignore Ctrl-C, and every process of a test would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def missing_for_root() -> str:
    if os.geteuid() != 0:
        return "needs root: run it with sudo"
    if not Path("/sys/fs/bpf").is_dir():
        return "needs a kernel with a bpf file system at /sys/fs/bpf"
    return ""


def missing_for_lab() -> str:
    if not shutil.which("systemd-nspawn", path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin"):
        return "needs systemd-nspawn: run make setup"
    return missing_for_root()


NEEDS = {"root": missing_for_root, "lab": missing_for_lab}


def pytest_runtest_setup(item: pytest.Item) -> None:
    """A test that this machine cannot run is skipped with its reason; in CI that is a failure."""
    for marker, missing in NEEDS.items():
        if item.get_closest_marker(marker) and (reason := missing()):
            refuse = pytest.fail if os.environ.get("CI") else pytest.skip
            refuse(reason)


@pytest.fixture(scope="session")
def root() -> Path:
    """The checkout."""
    return ROOT
