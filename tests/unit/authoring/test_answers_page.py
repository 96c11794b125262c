"""docs/answers.md says what is so: its commands are run in a copy of the example, and print what it shows."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from tcmicro_agent.cli.main import main

ROOT = Path(__file__).resolve().parents[3]
PAGE = ROOT / "docs/answers.md"
CONSOLE = re.compile(r"```console\n(.*?)```", re.DOTALL)


@pytest.fixture
def example(tmp_path, monkeypatch):
    shutil.copytree(ROOT / "inventories/example", tmp_path / "inventories/example")
    monkeypatch.chdir(tmp_path)
    who = ["-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "commit.gpgsign=false"]
    for step in (["init", "-q"], ["add", "."], [*who, "commit", "-qm", "example"]):
        subprocess.run(["git", *step], check=True, capture_output=True, timeout=30)


def said_by(command, capsys):
    words = shlex.split(command)
    if words[0] != "tc-micro":
        subprocess.run(words, check=True, timeout=30)
        return ""
    main(words[1:])
    return capsys.readouterr().out


def test_page_shows_what_is_printed(example, capsys):
    for block in CONSOLE.findall(PAGE.read_text()):
        shown = re.split(r"^\$ (.*)\n", block, flags=re.MULTILINE)[1:]
        for command, output in zip(shown[::2], shown[1::2], strict=True):
            assert said_by(command, capsys) == output, command
