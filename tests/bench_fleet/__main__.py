"""`make bench-fleet`: what a policy push and a whole wave cost, in pings of the same lab hosts with the same forks.

Turns are taken within one run, so what drifts on the machine hits all of them. Ends with 0 even where a goal is missed.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from tests.bench.measure import MeasurementError, Round, alternate, medians, ratio
from tests.bench_fleet.runs import ROOT, Cost, Fleet, told
from tools.demo.lab import Lab
from tools.process import ToolError

REPORT = ROOT / "build/bench-fleet.json"
GOALS = {"push": 2.2, "wave": 3.3}
HOSTS, FORKS, ROUNDS = 40, 20, 5


def main() -> int:
    args = _arguments()
    load = os.getloadavg()[0]
    try:
        hosts = _hosts(args.hosts)
        with tempfile.TemporaryDirectory(prefix="tcm-bench-fleet-") as folder:
            fleet = Fleet(hosts, args.forks, Path(folder))
            ways = {"ping": fleet.ping, "push": fleet.push, "wave": fleet.wave}
            variants: dict[str, Any] = {
                name: partial(told, "bench-fleet", name, run) for name, run in ways.items()
            }
            rounds = alternate(variants, args.rounds, warm_up=args.warm_up)
    except (MeasurementError, ToolError) as exc:
        print(f"bench-fleet: {exc}", file=sys.stderr)
        return 1
    loads = {"load_before": load, "load_after": os.getloadavg()[0]}
    machine = {"kernel": platform.release(), "cpus": os.cpu_count(), **loads}
    taken = {"hosts": len(hosts), "forks": args.forks, "rounds": args.rounds}
    document = {**taken, "machine": machine, **figures(rounds)}
    REPORT.parent.mkdir(exist_ok=True)
    REPORT.write_text(json.dumps(document, indent=2) + "\n")
    print(table(document))
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench-fleet")
    parser.add_argument("--hosts", type=int, default=HOSTS)
    parser.add_argument("--forks", type=int, default=FORKS)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--warm-up", type=int, default=1, help="rounds that are thrown away")
    return parser.parse_args()


def _hosts(wanted: int) -> list[str]:
    """The first so many hosts of the lab that run an agent."""
    lab = Lab(ROOT)
    there = [host for host in lab.hosts() if lab.ssh(host, "systemctl is-active tcmicro-agent").ok]
    if len(there) < wanted:
        raise MeasurementError(
            f"{len(there)} hosts of the lab run an agent, wanted {wanted}: make lab-up HOSTS={wanted} artifact, "
            "then ansible-playbook playbooks/deploy.yml; or measure fewer: HOSTS=N"
        )
    return there[:wanted]


def figures(rounds: Sequence[Any]) -> dict[str, Any]:
    """Medians of each, and ratios to the ping of the same round, of wall time and of CPU."""
    wall, cpu = _only(rounds, "wall_s"), _only(rounds, "cpu_s")
    return {
        "medians": {"wall_s": medians(wall), "cpu_s": medians(cpu)},
        "over_ping": {name: _against(wall, cpu, name) for name in GOALS},
        "raw": [{name: vars(cost) for name, cost in one.items()} for one in rounds],
    }


def _only(rounds: Sequence[dict[str, Cost]], part: str) -> list[Round]:
    return [{name: getattr(cost, part) for name, cost in one.items()} for one in rounds]


def _against(wall: Sequence[Round], cpu: Sequence[Round], name: str) -> dict[str, Any]:
    found, spent = ratio(wall, name, "ping"), ratio(cpu, name, "ping")
    return {
        "wall": vars(found),
        "cpu": vars(spent),
        "goal": GOALS[name],
        "met": found.middle <= GOALS[name],
    }


def table(document: dict[str, Any]) -> str:
    """For people: a line each, then the ratios."""
    wall, cpu = document["medians"]["wall_s"], document["medians"]["cpu_s"]
    machine = document["machine"]
    lines = [
        f"{document['hosts']} hosts, {document['forks']} forks, medians of {document['rounds']} rounds; "
        f"load {machine['load_before']:.1f} before, {machine['load_after']:.1f} after",
        *(f"{name:<6} {wall[name]:7.2f} s  {cpu[name]:7.2f} s CPU" for name in wall),
    ]
    for name, found in document["over_ping"].items():
        low, high = found["wall"]["low"], found["wall"]["high"]
        lines.append(
            f"{name} / ping {found['wall']['middle']:.2f} ({low:.2f} - {high:.2f}) of wall time, "
            f"{found['cpu']['middle']:.2f} of CPU; goal {found['goal']}: {'met' if found['met'] else 'missed'}"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
