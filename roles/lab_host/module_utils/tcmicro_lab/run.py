"""The one runner of commands: a list of words, a time limit, stderr kept for the error."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence

from .model import LabError


def run(argv: Sequence[str], limit: float = 30) -> str:
    """Runs a command and returns what it printed; a failure says which command and why."""
    try:
        done = subprocess.run(
            argv, capture_output=True, text=True, timeout=limit, stdin=subprocess.DEVNULL
        )
    except subprocess.TimeoutExpired as fault:
        raise LabError(f"{' '.join(argv)}: still not done after {limit:.0f} s") from fault
    if done.returncode:
        raise LabError(
            f"{' '.join(argv)}: exit {done.returncode}: {done.stderr.strip() or done.stdout.strip()}"
        )
    return done.stdout


def succeeds(argv: Sequence[str], limit: float = 30) -> bool:
    """Runs a command that is a question."""
    try:
        return (
            subprocess.run(
                argv, capture_output=True, timeout=limit, stdin=subprocess.DEVNULL
            ).returncode
            == 0
        )
    except subprocess.TimeoutExpired:
        return False
