"""What this machine holds of the lab and of us: kernel programs, namespaces, mounts, processes."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path

from tools.process import run

SETTLE = 10  # seconds: the kernel frees programs and namespaces a moment after their last user


@dataclass(frozen=True)
class Holdings:
    """What exists once per machine, lab hosts included: they share its kernel."""

    programs: frozenset[int] = frozenset()
    namespaces: frozenset[str] = frozenset()

    def since(self, before: Holdings) -> Holdings:
        return Holdings(self.programs - before.programs, self.namespaces - before.namespaces)


def holdings() -> Holdings:
    programs = json.loads(run(["bpftool", "-j", "prog", "show"]) or "[]")
    ids = (program["id"] for program in programs if program.get("type") == "sched_cls")
    return Holdings(frozenset(ids), frozenset(path.name for path in Path("/run/netns").glob("*")))


def settled(before: Holdings) -> Holdings:
    """What is there that was not before, once that stops to shrink."""
    end = time.monotonic() + SETTLE
    while (left := holdings().since(before)) != Holdings() and time.monotonic() < end:
        time.sleep(0.5)
    return left


def mounts_below(folder: Path) -> list[str]:
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    return [
        point for point in (line.split()[4] for line in lines) if point.startswith(f"{folder}/")
    ]


def processes_naming(folder: Path) -> list[str]:
    """Command lines that name a folder."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
        except OSError:
            continue  # it ended meanwhile
        if f"{folder}/" in words:
            found.append(words)
    return found
