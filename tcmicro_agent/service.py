"""What systemd and the journal say of our units, and nothing where they do not run. Every question ends by itself."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence

UNITS = (
    "tcmicro-agent.service",
    "tcmicro-boot.service",
    "tcmicro-guard.timer",
)
PATIENCE_S = 10


def ask(*argv: str) -> str | None:
    """What a command prints; None where it is not there, fails or takes too long."""
    try:
        done = subprocess.run(argv, capture_output=True, timeout=PATIENCE_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.decode(errors="replace") if not done.returncode else None


def state(unit: str) -> dict[str, str] | None:
    """LoadState, ActiveState, UnitFileState and NRestarts of a unit; None without systemd."""
    wanted = "LoadState,ActiveState,UnitFileState,NRestarts"
    said = ask("systemctl", "show", "--no-pager", f"--property={wanted}", unit)
    if said is None:
        return None
    return dict(line.split("=", 1) for line in said.splitlines() if "=" in line)


def errors(units: Sequence[str] = UNITS, *, hours: int = 1, most: int = 5) -> list[str] | None:
    """The last lines of the journal at level error or worse; None where it cannot be read."""
    return journal(units, f"--since=-{hours}h", "--priority=err", most=most)


def journal(units: Sequence[str], *options: str, most: int) -> list[str] | None:
    names = [f"--unit={unit}" for unit in units]
    told = ["--no-pager", "--quiet", "--output=short-iso", f"--lines={most}"]
    said = ask("journalctl", *names, *told, *options)
    return None if said is None else said.splitlines()


def clock_is_synchronised() -> bool | None:
    """None where nobody knows."""
    said = ask("timedatectl", "show", "--property=NTPSynchronized", "--value")
    return {"yes": True, "no": False}.get((said or "").strip())
