"""`make bench-scale`: what one more host costs the controller, of a status, a policy push and a change of release, at
growing sizes of a lab; and of the first two over fake hosts by the hundreds. Ends with 0 even where a line is bent.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from tests.bench.measure import MeasurementError
from tests.bench_fleet.runs import ROOT, Cost, told
from tests.bench_scale.fakes import FakeFleet
from tests.bench_scale.figures import document, table
from tests.bench_scale.runs import ScaleFleet, prepared
from tools.demo.lab import Lab
from tools.process import ToolError

REPORT = ROOT / "build/bench-scale.json"
LAB, FAKES, FORKS, ROUNDS = (10, 20, 40), (125, 250, 500), 20, 3
Works = Mapping[str, Callable[[], Cost]]
Sizes = dict[int, list[dict[str, Cost]]]


def main() -> int:
    args = _arguments()
    machine = {"kernel": platform.release(), "cpus": os.cpu_count()}
    loads, left_out = [os.getloadavg()[0]], []
    series: dict[str, Sizes] = {"lab": {}, "fakes": {}}
    failed = False
    try:
        left_out += _lab(args, series["lab"])
        _fakes(args, series["fakes"])
    except (MeasurementError, ToolError) as exc:  # what was taken until then is kept
        print(f"bench-scale: {exc}", file=sys.stderr)
        left_out.append("what came after: a run failed")
        failed = True
    loads.append(os.getloadavg()[0])
    found = document(series, {**machine, "load": loads, "forks": args.forks}, left_out)
    REPORT.parent.mkdir(exist_ok=True)
    REPORT.write_text(json.dumps(found, indent=2) + "\n")
    print(table(found))
    return 1 if failed else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench-scale")
    parser.add_argument("--lab", type=_sizes, default=LAB, help="hosts of the lab; 0: none")
    parser.add_argument("--fakes", type=_sizes, default=FAKES, help="fake hosts; 0: none")
    parser.add_argument("--forks", type=int, default=FORKS)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    return parser.parse_args()


def _sizes(text: str) -> tuple[int, ...]:
    return tuple(sorted(int(word) for word in text.split(",") if int(word)))


def _lab(args: argparse.Namespace, found: Sizes) -> list[str]:
    """Costs by size, and which sizes the lab has no hosts for."""
    there = prepared(Lab(ROOT)) if args.lab else []
    sizes = [size for size in args.lab if size <= len(there)]
    for size in sizes:
        with tempfile.TemporaryDirectory(prefix="tcm-bench-scale-") as folder:
            fleet = ScaleFleet(there[:size], args.forks, Path(folder))
            works = {"status": fleet.status, "push": fleet.push, "release": fleet.release}
            found[size] = _taken(f"{size} of the lab", works, args.rounds)
    return [f"{s} lab hosts: there are {len(there)}" for s in args.lab if s not in sizes]


def _fakes(args: argparse.Namespace, found: Sizes) -> None:
    for size in args.fakes:
        with tempfile.TemporaryDirectory(prefix="tcm-bench-scale-") as folder:
            fleet = FakeFleet(Path(folder), size, args.forks)
            works = {"status": fleet.status, "push": fleet.push}
            found[size] = _taken(f"{size} fakes", works, args.rounds)


def _taken(hosts: str, works: Works, rounds: int) -> list[dict[str, Cost]]:
    """Rounds of all of them; what is read or compiled once is read before."""
    next(iter(works.values()))()
    return [
        {name: told("bench-scale", f"{hosts}: {name}", work) for name, work in works.items()}
        for _ in range(rounds)
    ]


if __name__ == "__main__":
    sys.exit(main())
