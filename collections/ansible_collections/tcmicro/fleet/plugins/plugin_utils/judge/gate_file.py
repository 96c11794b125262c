# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The gate file that a rollout is judged by, found and read. An edge of this room."""

from __future__ import annotations

from pathlib import Path

from ansible_collections.tcmicro.fleet.plugins.plugin_utils.judge.specs import Gates, parse

from tcmicro_agent.errors import PolicyError

SHIPPED = Path("roles/tcmicro_gate/files/gates.yml")


class GateFileError(Exception):
    """No wave can be judged by it; the text has all that is wrong, a line each."""


def read(file: str | None) -> Gates:
    """The gates of a file, or else the shipped ones. Raises GateFileError."""
    path = Path(file) if file else _shipped()
    try:
        return parse(str(path), path.read_text())
    except (OSError, UnicodeDecodeError) as exc:
        why = exc.strerror if isinstance(exc, OSError) else "not text in UTF-8"
        raise GateFileError(f"{path}: {why}; allowed is a file of kind Gates") from exc
    except PolicyError as exc:
        raise GateFileError("\n".join(exc.problems)) from exc


def faults(file: str) -> list[str]:
    """All that is wrong with a gate file, a line each."""
    try:
        read(file)
    except GateFileError as exc:
        return str(exc).splitlines()
    return []


def _shipped() -> Path:
    """Of the role that stands beside this collection."""
    found = (above / SHIPPED for above in Path(__file__).resolve().parents)
    shipped = next((path for path in found if path.is_file()), None)
    if shipped is None:
        raise GateFileError(f"gates: no {SHIPPED} beside this collection; say which file")
    return shipped
