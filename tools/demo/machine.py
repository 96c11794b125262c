"""What this machine holds of the lab and of us: kernel programs, namespaces, mounts, processes."""

from __future__ import annotations

import json
from pathlib import Path

from tools.process import run


def loaded_programs() -> frozenset[int]:
    """Ids of the tc programs in this kernel; lab hosts share it, so theirs are among them."""
    programs = json.loads(run(["bpftool", "-j", "prog", "show"]) or "[]")
    return frozenset(program["id"] for program in programs if program.get("type") == "sched_cls")


def namespaces() -> list[str]:
    return (
        sorted(path.name for path in Path("/run/netns").glob("*"))
        if Path("/run/netns").is_dir()
        else []
    )


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
