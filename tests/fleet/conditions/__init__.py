"""What is done to hosts of the lab so that alerts become true there, and how it is undone."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from dataclasses import dataclass

UNIT = "tcmicro-agent.service"
CONFIG, KEPT = "/etc/tcmicro/agent.json", "/etc/tcmicro/agent.kept"
RELOAD = f"systemctl reload {UNIT}"
PUT_BACK = f"mv {KEPT} {CONFIG}; {RELOAD}"

Pair = tuple[str, str]  # an alert and its host


@dataclass(frozen=True)
class Condition:
    """`alerts` become true on `at`, and end with `undo`; those without one, or that linger, look back over minutes."""

    host: str
    command: str
    alerts: tuple[str, ...]
    at: str
    undo: str = ""
    lingers: bool = False

    @property
    def pairs(self) -> set[Pair]:
        return {(alert, self.at) for alert in self.alerts}


def python(program: str) -> str:
    return shlex.join(["python3", "-c", program])


def datagrams(address: str, ports: str, pause_s: float) -> str:
    """One to each of `ports`, a Python expression: bounded in number and time."""
    return python(f"""
import socket, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for port in {ports}:
    s.sendto(b"x", ("{address}", port)); time.sleep({pause_s})
""")


def reconfigured(change: str) -> str:
    """The configuration of a host changed by a statement on its `document`, and read again."""
    program = f"""
import json, pathlib
path = pathlib.Path("{CONFIG}"); document = json.loads(path.read_text())
pathlib.Path("{KEPT}").write_text(path.read_text())
{change}
path.write_text(json.dumps(document))
"""
    return f"{python(program)} && {RELOAD}"


def by_host(conditions: Iterable[Condition]) -> list[list[Condition]]:
    """What is done on one host is done in order."""
    found: dict[str, list[Condition]] = {}
    for condition in conditions:
        found.setdefault(condition.host, []).append(condition)
    return list(found.values())


def caused(conditions: Iterable[Condition]) -> set[Pair]:
    return set().union(*(condition.pairs for condition in conditions))
