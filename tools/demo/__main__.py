"""`make demo`: run the nine steps, show them as they go, end with a table and a report."""

from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path

from rich.console import Console

from tools.demo import report
from tools.demo.journey import Journey
from tools.demo.lab import Lab
from tools.demo.playbook import Playbooks
from tools.demo.progress import Progress
from tools.demo.scene import Scene
from tools.demo.steps import STEPS
from tools.demo.traffic import Traffic

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "build"


def scene_at(root: Path, progress: Progress) -> Scene:
    lab = Lab(root)
    plays = Playbooks(root, root / "build" / "demo", progress.live)
    return Scene(root, lab, plays, Traffic(lab), progress.say)


def leave(scene: Scene, console: Console, *, keep: bool) -> None:
    """Nothing of the demo goes on running, whatever happened."""
    scene.plays.close()
    if not scene.owns_lab:
        return
    if keep:
        console.print("The lab stays up; 'make lab-down' takes it down.")
    else:
        console.print("Taking the lab down.")
        scene.plays.lab("absent")


def main() -> int:
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    parser.add_argument("--keep", action="store_true", help="skip the last step, leave the lab up")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    console = Console()
    progress = Progress(console)
    scene = scene_at(ROOT, progress)
    journey = Journey(scene, progress, STEPS)
    try:
        journey.reach(len(STEPS) - 1 if options.keep else len(STEPS))
    except KeyboardInterrupt:
        console.print("Interrupted.")
    finally:
        leave(scene, console, keep=options.keep)
    results = journey.all_results()
    progress.table(results)
    console.print(f"Report: {report.write(results, BUILD).relative_to(ROOT)}", highlight=False)
    return 1 if journey.failed or not results else 0


if __name__ == "__main__":
    sys.exit(main())
