"""`make help` is the one list of commands."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROMISED = [
    "demo",
    "test",
    "check",
    "artifact",
    "lab-up",
    "lab-down",
    "lab-status",
    "bench",
    "clean",
]


@pytest.fixture(scope="module")
def listed() -> dict[str, str]:
    done = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True)
    return dict(re.findall(r"^  make (\S+) +(\S.*)$", done.stdout, re.MULTILINE))


def test_help_lists_every_target_with_one_line(listed):
    targets = re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert sorted(listed) == sorted(set(targets) - {"needs-root"})


@pytest.mark.parametrize("command", PROMISED)
def test_promised_command_is_there(listed, command):
    assert listed[command]


@pytest.mark.parametrize("document", ["README.md", "CONTRIBUTING.md"])
def test_documents_name_no_command_that_is_not_there(listed, document):
    named = re.findall(r"\bmake ([a-z]+(?:-[a-z]+)?)\b(?=[` ])", (ROOT / document).read_text())
    assert [command for command in named if command not in listed] == []


def test_second_setup_installs_nothing():
    done = subprocess.run(["tools/setup.sh"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == done.stderr == ""


def test_locks_have_hashes_and_name_no_index():
    for lock in (ROOT / "requirements").glob("*.lock"):
        text = lock.read_text()
        pinned = len(re.findall(r"^[a-z0-9-]+==", text, re.MULTILINE))
        assert pinned == len(
            re.findall(r"^[a-z0-9-]+==.*\\\n    --hash=sha256:", text, re.MULTILINE)
        )
        assert "://" not in text


def test_developers_lock_contains_the_agents():
    agent, dev = ((ROOT / "requirements" / name).read_text() for name in ("agent.lock", "dev.lock"))
    pins = re.findall(r"^[a-z0-9-]+==[^ ]+", agent, re.MULTILINE)
    assert [pin for pin in pins if pin not in dev] == []


@pytest.mark.parametrize("command", ["demo", "test", "lab-up", "lab-down", "lab-status", "bench"])
def test_without_root_one_line_says_so(command):
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        shutil.copy(ROOT / "Makefile", folder)
        other = {"user": "nobody"} if os.geteuid() == 0 else {}
        argv = ["make", command, "VERSION=0"]
        done = subprocess.run(
            argv, cwd=folder, capture_output=True, text=True, check=False, **other
        )
    assert done.returncode != 0
    assert done.stdout == ""
    assert "make: this needs root, you are " in done.stderr
