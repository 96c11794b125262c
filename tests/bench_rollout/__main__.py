"""`make bench-rollout`: how often the shipped gates stop a rollout that is fine, and how often one that is not.

Simulated fleets, the shipped judge, the shipped gate file; seeds are fixed. Ends with 1 when a goal is missed: nothing
here depends on the machine. QUICK=1 takes a tenth of the rollouts, and reports without judging them.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from functools import cache, partial
from pathlib import Path
from typing import Any

from tests.bench_rollout.fleet import MEGABYTE, Fault
from tests.bench_rollout.rollouts import CANARY, FLEET, GATES, Run, Scenario, Share, run, shipped

REPORT = Path(__file__).resolve().parents[2] / "build/bench-rollout.json"
ROLLOUTS, FIRST_SEED = 500, 20_000
AT_ONCE = 8
DENIED, MEMORY = "denied packets", "growth of the agent's memory"
TRIPS = "round trips"

SCENARIOS = (
    Scenario("clean rollout stopped, bakes of 10 minutes", 0.06, FLEET, 10),
    Scenario("clean rollout stopped, bakes of 30 minutes", 0.06, FLEET, 30),
    Scenario("x1.3 on the canaries found", 0.0, CANARY, 10, Fault({"denied": 1.3}), DENIED),
    Scenario("x1.5 on the canaries found", 0.85, CANARY, 10, Fault({"denied": 1.5}), DENIED),
    Scenario("x2 on the canaries found", 0.99, CANARY, 10, Fault({"denied": 2.0}), DENIED),
    Scenario("x3 on one canary of five found", 0.90, CANARY, 10, Fault({"denied": 3.0}, 1), DENIED),
    Scenario("round trips x2 on the canaries found", 0.99, CANARY, 10, Fault({TRIPS: 2.0}), TRIPS),
    Scenario("leak of 0.25 MB a minute found", 0.99, CANARY, 30, Fault(leak=MEGABYTE / 4), MEMORY),
)


@cache
def gates() -> Any:
    """Read once per process."""
    return shipped()


def once(scenario: Scenario, seed: int) -> Run:
    return run(scenario, gates(), seed)


def figure(scenario: Scenario, runs: list[Run], seconds: float) -> dict[str, Any]:
    """One line of the report. Of a fault only what its own metric found counts as found."""
    stopped = [{metric for metric, _ in r.failed} for r in runs]
    hits = sum(scenario.metric in s if scenario.metric else bool(s) for s in stopped)
    share, extended = Share(hits, len(runs)), Share(sum(r.extended for r in runs), len(runs))
    low, high = share.interval()
    return {
        "figure": scenario.name,
        "goal": f"{'>=' if scenario.metric else '<='} {scenario.goal}",
        "value": round(share.value, 4),
        "wilson_95": [round(low, 4), round(high, 4)],
        "met": share.value >= scenario.goal if scenario.metric else share.value <= scenario.goal,
        "rollouts": len(runs),
        "baked_again": round(extended.value, 4),
        "waves": [list(wave) for wave in scenario.waves],
        "minutes": scenario.minutes,
        "by_metric": dict(Counter(f"{m} ({kind})" for r in runs for m, kind in r.failed)),
        "seeds": [FIRST_SEED, FIRST_SEED + len(runs) - 1],
        "seconds": round(seconds),
    }


def line(found: dict[str, Any]) -> str:
    low, high = found["wilson_95"]
    return (
        f"{'ok    ' if found['met'] else 'MISSED'} {found['figure']:<44} {found['value']:6.1%} "
        f"({low:.1%} to {high:.1%}), goal {found['goal']}; baked again {found['baked_again']:.0%}; "
        f"seeds {found['seeds'][0]} to {found['seeds'][1]}; {found['seconds']} s"
    )


def main() -> int:
    quick = bool(os.environ.get("QUICK"))
    seeds = range(FIRST_SEED, FIRST_SEED + (ROLLOUTS // 10 if quick else ROLLOUTS))
    figures = []
    with ProcessPoolExecutor() as pool:
        for scenario in SCENARIOS:
            start = time.monotonic()
            runs = list(pool.map(partial(once, scenario), seeds, chunksize=AT_ONCE))
            figures.append(figure(scenario, runs, time.monotonic() - start))
            print(line(figures[-1]), flush=True)
    REPORT.parent.mkdir(exist_ok=True)
    content = {"gates": str(GATES.name), "quick": quick, "figures": figures}
    REPORT.write_text(json.dumps(content, indent=2) + "\n")
    return int(not quick and not all(found["met"] for found in figures))


if __name__ == "__main__":
    sys.exit(main())
