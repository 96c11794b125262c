"""`make bench`: every figure there is a goal for, taken in this run on this machine. QUICK=1 takes fewer rounds.

Ends with 0 even where a goal is missed: it is a report. Not so when a figure could not be taken.
"""

from __future__ import annotations

import json
import os
import platform
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tcmicro_agent.errors import TcmicroError
from tests.bench import (
    agent,
    flood,
    footprint,
    language,
    live,
    loaded,
    report,
    rollout_plan,
    swap,
    testrun,
    world,
)
from tests.bench.goals import Result, complete
from tests.bench.measure import MeasurementError
from tools.process import ToolError

REPORT = loaded.ROOT / "build/bench.json"
QUIET_LOAD = 1.5  # of five minutes; one of it is ours
SECTIONS = {
    "one packet at a time": testrun.run,
    "live traffic": live.run,
    "changing the policy": swap.run,
    "under attack": flood.run,
    "what it takes": footprint.run,
    "the agent as it is installed": agent.run,
    "the policy language": language.run,
    "the plan of a rollout": rollout_plan.run,
}


def main() -> int:
    quick = bool(os.environ.get("QUICK"))
    signal.signal(signal.SIGTERM, _end)
    os.sched_setaffinity(0, {loaded.MEASURED})
    loaded.build()
    world.build()
    start = time.monotonic()
    results: list[Result] = []
    failures = []
    with loaded.empty_namespace(), loaded.bpf_filesystem() as bpffs:
        for title, section in SECTIONS.items():
            failures += run_section(title, section, bpffs, results, quick=quick)
    if failures:
        print("bench: not every figure could be taken:", *failures, sep="\n  ", file=sys.stderr)
        return 1
    _publish(complete(results), {**_machine(), "quick": quick, "seconds": time.monotonic() - start})
    return 0


def run_section(
    title: str,
    section: Callable[..., list[Result]],
    bpffs: Path,
    results: list[Result],
    *,
    quick: bool,
) -> list[str]:
    """Adds what a section found; returns why it found nothing."""
    start = time.monotonic()
    try:
        results += section(bpffs, quick=quick)
    except (MeasurementError, TcmicroError, ToolError, OSError) as exc:
        return [f"{title}: {exc}"]
    print(f"{title}: {time.monotonic() - start:.0f} s", file=sys.stderr)
    return []


def _publish(results: list[Result], facts: dict[str, Any]) -> None:
    REPORT.write_text(json.dumps(report.document(results, facts), indent=2) + "\n")
    if facts["load"] > QUIET_LOAD:
        print(f"load {facts['load']:.1f}: what needs the caches to itself looks worse than it is")
    print(report.table(results))
    print(f"\nmedians of each filter\n{report.comparison(results)}\n")
    print(f"what each was made of is in {REPORT.relative_to(loaded.ROOT)}")


def _machine() -> dict[str, Any]:
    return {"kernel": platform.release(), "cpus": os.cpu_count(), "load": os.getloadavg()[1]}


def _end(number: int, _: object) -> None:
    """So that namespaces and mounts go as on any other way out."""
    sys.exit(128 + number)


if __name__ == "__main__":
    sys.exit(main())
