"""What this machine holds of the lab: kernel programs of its hosts, namespace, mounts, processes."""

from __future__ import annotations

import json
import time
from pathlib import Path

from tools.process import run

SETTLE = 10  # seconds: the kernel frees programs a moment after their last user


def pinned_programs(lab: Path) -> set[int]:
    """Ids of the programs that the hosts of a lab have pinned, each in a bpf file system of its own."""
    found = set()
    for pin in lab.glob("hosts/*/bpf/tcmicro/*/programs/*"):
        found.add(int(json.loads(run(["bpftool", "-j", "prog", "show", "pinned", str(pin)]))["id"]))
    return found


def still_loaded(programs: set[int]) -> set[int]:
    """Those of the programs that this kernel does not let go of."""
    end = time.monotonic() + SETTLE
    while True:
        loaded = json.loads(run(["bpftool", "-j", "prog", "show"]) or "[]")
        left = programs & {program["id"] for program in loaded}
        if not left or time.monotonic() > end:
            return left
        time.sleep(0.5)


def traces_of(lab: Path, namespace: str) -> list[str]:
    """What a lab has on this machine beside its cached files."""
    places = [
        Path("/run/netns") / namespace,
        Path("/run") / namespace,
        Path("/sys/fs/cgroup") / namespace,
    ]
    found = [f"place {place}" for place in places if place.exists()]
    return [*found, *_mounts_below(lab), *_processes_naming(lab)]


def _mounts_below(folder: Path) -> list[str]:
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    points = (line.split()[4] for line in lines)
    return [f"mount {point}" for point in points if point.startswith(f"{folder}/")]


def _processes_naming(folder: Path) -> list[str]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
        except OSError:
            continue  # it ended meanwhile
        if f"{folder}/" in words:
            found.append(f"process {words}")
    return found
