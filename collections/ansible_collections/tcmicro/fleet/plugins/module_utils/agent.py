# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The installed agent as a host sees it: its command line and its service. Decides nothing."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import Any, Callable

PROGRAM = "/usr/local/bin/tc-micro"
UNIT = "tcmicro-agent.service"

Run = Callable[[list[str]], tuple[int, str, str]]
Document = dict[str, Any]

EXITS = {
    2: "did not understand the command",
    3: "refused, nothing was changed",
    6: "was given invalid input",
    7: "is busy with another change",
    8: "took the change back",
}


@dataclass(frozen=True)
class Reply:
    """What one call of the agent said. `document` is None when it was not the promised JSON."""

    verb: str
    code: int
    document: Document | None
    stderr: str

    @property
    def ok(self) -> bool:
        return self.code == 0 and self.document is not None

    def complaint(self) -> str:
        """Why the call failed, in the agent's own words where it has some."""
        error = (self.document or {}).get("error") or {}
        problems = "; ".join(error.get("problems") or [])
        words = error.get("message") or problems or self.stderr.strip() or "no explanation"
        hint = f" ({error['hint']})" if error.get("hint") else ""
        how = EXITS.get(self.code, f"failed with exit code {self.code}")
        if self.code == 0:
            how = "answered with something that is not one JSON document"
        return f"tc-micro {self.verb} {how}: {words}{hint}"


class Agent:
    """The command line contract: every verb answers `--json` with one document."""

    def __init__(self, run: Run, program: str = PROGRAM) -> None:
        self._run = run
        self.program = program

    def installed(self) -> bool:
        return os.access(self.program, os.X_OK)

    def call(self, *argv: str) -> Reply:
        code, stdout, stderr = self._run([self.program, *argv, "--json"])
        return Reply(" ".join(argv[:2]), code, _parse(stdout), stderr)


def _parse(text: str) -> Document | None:
    try:
        document = json.loads(text)
    except ValueError:
        return None
    return document if isinstance(document, dict) else None


class Service:
    """The agent's systemd unit."""

    PROPERTIES = (
        "LoadState",
        "ActiveState",
        "SubState",
        "UnitFileState",
        "NRestarts",
        "Result",
        "MainPID",
        "ActiveEnterTimestampMonotonic",
    )

    def __init__(self, run: Run) -> None:
        self._run = run

    def show(self) -> Document:
        """State of the unit under Ansible's kind of names."""
        argv = ["systemctl", "show", UNIT, "--property", ",".join(self.PROPERTIES)]
        found = dict(line.partition("=")[::2] for line in self._systemctl(argv).splitlines())
        return {
            "installed": found.get("LoadState") == "loaded",
            "active": found.get("ActiveState") == "active",
            "enabled": found.get("UnitFileState") == "enabled",
            "failed": found.get("ActiveState") == "failed",
            "state": f"{found.get('ActiveState', '')} ({found.get('SubState', '')})",
            "result": found.get("Result", ""),
            "restarts": _integer(found.get("NRestarts")),
            "pid": _integer(found.get("MainPID")),
            "active_since_us": _integer(found.get("ActiveEnterTimestampMonotonic")),
        }

    def act(self, verb: str) -> None:
        """stop, enable or disable the unit."""
        self._systemctl(["systemctl", verb, UNIT])

    def launch(self, verb: str) -> None:
        """start or restart the unit without waiting for it; a unit that failed too often may try again."""
        self.forget_failure()
        self._systemctl(["systemctl", "--no-block", verb, UNIT])

    def forget_failure(self) -> None:
        """Clear the failed state; systemd says no where there is none, which is as good."""
        self._run(["systemctl", "reset-failed", UNIT])

    def reload_units(self) -> None:
        self._systemctl(["systemctl", "daemon-reload"])

    def journal(self, lines: int = 10) -> str:
        """The last words of the service, for the error message."""
        argv = ["journalctl", "-u", UNIT, "-n", str(lines), "-o", "cat", "--no-pager"]
        return self._run(argv)[1].strip()

    def _systemctl(self, argv: list[str]) -> str:
        code, stdout, stderr = self._run(argv)
        if code != 0:
            raise ServiceError(f"{' '.join(argv)}: exit code {code}: {stderr.strip()}")
        return stdout


class ServiceError(Exception):
    """systemd did not do what it was asked."""


def _integer(text: str | None) -> int | None:
    return int(text) if text and text.isdigit() else None
