# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Playbooks run as the one that is under way was: same inventory, same words, one more file of them. The edge of this room."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PATIENCE_S = 60  # that a playbook has to end when it is told to


@dataclass(frozen=True)
class Controller:
    """`words`: those of the command that runs now, but for its playbooks; `folder`: where logs go."""

    words: Sequence[str]
    playbooks: Path
    folder: Path

    def run(self, name: str, variables: Mapping[str, Any], limit_s: float) -> tuple[int, str]:
        """Exit code of a playbook and all it printed; one that does not end in time is ended."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        given, log = self.folder / f"{name}.json", self.folder / f"{name}.log"
        given.write_text(json.dumps(variables, indent=1) + "\n")
        argv = [sys.executable, "-m", "ansible", "playbook", *self.words, "-e", f"@{given}"]
        with log.open("w") as output:
            process = subprocess.Popen(
                [*argv, str(self.playbooks / f"{name}.yml")],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, "ANSIBLE_NOCOLOR": "1", "ANSIBLE_FORCE_COLOR": "0"},
            )
            code = _awaited(process, limit_s)
        return code, log.read_text(errors="replace")


def _awaited(process: subprocess.Popen[bytes], limit_s: float) -> int:
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            return process.wait(limit_s)
        except subprocess.TimeoutExpired:
            process.send_signal(number)
            limit_s = PATIENCE_S
    return process.wait()


def words_of(argv: Sequence[str], playbooks: Sequence[str]) -> list[str]:
    """A command line without the playbooks it names."""
    return [word for word in argv if word not in playbooks]


def complaint(output: str) -> str:
    """The first line that says what went wrong."""
    lines = (line.strip() for line in output.splitlines())
    wrong = [line for line in lines if "[ERROR]" in line or line.startswith(("fatal:", "ERROR"))]
    return wrong[0] if wrong else "nothing was said of why"
