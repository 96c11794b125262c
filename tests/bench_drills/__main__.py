"""`make bench-drills`: every fault of a drill once on a lab whose hosts talk to each other, and a policy that cuts all
of them off at once with the controller gone. Ends with 1 where a fault is missed or a host is back too late.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ansible_collections.tcmicro.fleet.plugins.plugin_utils.drill.faults import CATALOGUE

from tcmicro_agent.signing import Role
from tests.bench.measure import MeasurementError
from tests.bench_drills.cut import cut_off
from tests.bench_drills.fleet import ROOT, Fleet
from tools import keys
from tools.demo.releases import FIRST, NEXT
from tools.process import ToolError

REPORT = ROOT / "build/bench-drills.json"
BAKES = {"memory_leak": 90, "cpu_burn": 90} | dict.fromkeys(
    ("exporter_dead", "packet_drop", "added_latency"), 120
)
SHORT_S, COMPARED_S = 8, 20  # bakes of what L0 finds, and how long policies are compared
EXPIRES_S = 1800  # of a fault: the machine of a lab may be slow
TALKED_S = 75  # that must be recorded before a wave can be compared with how it was


def main() -> int:
    args = _arguments()
    folder = Path(tempfile.mkdtemp(prefix="tcm-bench-drills-"))
    print(f"logs: {folder}", flush=True)
    try:
        with talking(Fleet(folder, args.hosts)) as fleet:
            drills = [drill(fleet, fault) for fault in args.faults]
            cut = cut_off(fleet) if args.cut else None
    except (MeasurementError, ToolError) as exc:
        print(f"bench-drills: {exc}", file=sys.stderr)
        return 1
    document = {"hosts": len(fleet.hosts), "load": os.getloadavg()[0], "drills": drills, "cut": cut}
    REPORT.parent.mkdir(exist_ok=True)
    REPORT.write_text(json.dumps(document, indent=2) + "\n")
    return int(not all(one["passed"] for one in [*drills, *filter(None, [cut])]))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench-drills")
    parser.add_argument("--faults", type=_names, default=list(CATALOGUE), help="default: all")
    parser.add_argument("--hosts", type=_names, default=[], help="default: all of the lab")
    parser.add_argument("--no-cut", dest="cut", action="store_false")
    return parser.parse_args()


def _names(text: str) -> list[str]:
    """With commas between; `none`: nobody."""
    return [name for name in text.split(",") if name and name != "none"]


@contextmanager
def talking(fleet: Fleet) -> Iterator[Fleet]:
    """A fleet of which every host talks to every other, for long enough to be compared with later."""
    fleet.make_live()
    try:
        fleet.talk()
        time.sleep(TALKED_S)
        yield fleet
    finally:
        fleet.quiet()


def drill(fleet: Fleet, fault: str) -> dict[str, Any]:
    """One drill; its row, printed as it comes."""
    words = ["-e", f"drill_fault={fault}", "-e", f"bake={BAKES.get(fault, SHORT_S)}"]
    words += ["-e", f"drill_expires_s={EXPIRES_S}"]
    words += ["-e", f"drill_release_key={keys.private(ROOT / '.keys', Role.RELEASE)}"]
    if CATALOGUE[fault].of_policy:
        words += ["-e", f"stage={COMPARED_S}"]
    else:
        runs = fleet.status(fleet.hosts[0])["agent"]["release"]
        words += ["-e", f"release={NEXT if runs == FIRST else FIRST}"]
    begun = time.monotonic()
    fleet.play("drill", *words)
    row = {"fault": fault, "took_s": round(time.monotonic() - begun), **_result(fleet, fault)}
    print(_line(row), flush=True)
    return row


def _result(fleet: Fleet, fault: str) -> dict[str, Any]:
    file = fleet.folder / "rollouts/drills/drills.json"
    results = json.loads(file.read_text())["results"] if file.exists() else []
    found = next((one for one in results if one["drill"]["fault"] == fault), None)
    if found is None:
        return {"passed": False, "wrong": [f"it never began: {fleet.folder}/drill.log"]}
    by = found["by"] or {}
    return {
        "passed": found["passed"],
        "caught_by": f"{by.get('level', '')} {by.get('gate', '')}: {by.get('text', '')}",
        "hosts": found["drill"]["hosts"],
        "wave": found["wave"],
        "seconds": found["seconds"],
        "left_bad": len(found["on_fault"]) + len(found["remains"]),
        "locked_out": len(found["locked_out"]),
        "wrong": found["wrong"],
    }


def _line(row: dict[str, Any]) -> str:
    if "wave" not in row:
        return f"FAILED {row['fault']}: {'; '.join(row['wrong'])}"
    seconds = "-" if row["seconds"] is None else f"{row['seconds']:.0f} s"
    return (
        f"{'ok    ' if row['passed'] else 'FAILED'} {row['fault']:<16} wave {row['wave']}, {seconds}, "
        f"left {row['left_bad']}, locked out {row['locked_out']}; {row['caught_by'][:110]} "
        f"{'; '.join(row['wrong'])}"
    )


if __name__ == "__main__":
    sys.exit(main())
