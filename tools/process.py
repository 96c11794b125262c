"""Run a program to its end; when it fails, say which and show what it wrote. Or end it at once, with all it began."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path


class ToolError(Exception):
    """Something a developer's command cannot go on with; the message is all that is shown."""


def run(
    argv: Sequence[str],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    timeout: float = 600,
) -> str:
    """Standard output of a program that must succeed."""
    try:
        done = subprocess.run(
            list(argv),
            cwd=cwd,
            env=env,
            timeout=timeout,
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError as exc:
        raise ToolError(f"{argv[0]} is not installed; run 'make setup'") from exc
    except subprocess.TimeoutExpired as exc:
        raise ToolError(f"{' '.join(argv)}: no end after {timeout:.0f} s") from exc
    if done.returncode != 0:
        raise ToolError(
            f"{' '.join(argv)}: exit code {done.returncode}\n{done.stdout}{done.stderr}".rstrip()
        )
    return done.stdout


def crash(pid: int) -> None:
    """Ends a process and everything below it, as a loss of the machine would. Its group is not enough for Ansible: each
    of its workers leads a session, and waits for good when the parent is gone."""
    for one in _with_descendants(pid):
        with suppress(ProcessLookupError):
            os.kill(one, signal.SIGKILL)


def _with_descendants(pid: int) -> list[int]:
    found = [pid]
    for one in found:
        for children in Path(f"/proc/{one}/task").glob("*/children"):
            with suppress(OSError):  # it has ended meanwhile
                found += [int(child) for child in children.read_text().split()]
    return found
