"""`make pictures`: docs/pictures, one for each dashboard, from the Prometheus of a lab after some minutes of traffic.

The lab is up, its agents protect, playbooks/monitoring.yml has run (docs/monitoring.md).
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

from tools.dashboards import queries
from tools.demo.lab import Lab
from tools.demo.traffic import Traffic
from tools.pictures import traffic
from tools.pictures.drawing import draw
from tools.pictures.server import Window, ranges
from tools.process import ToolError

ROOT = Path(__file__).resolve().parents[2]
DASHBOARDS, PICTURES = ROOT / "monitoring/dashboards", ROOT / "docs/pictures"
MONITOR = "client1"


def picture(lab: Lab, path: Path, window: Window) -> Path:
    """Draws one dashboard; the picture's path."""
    document = json.loads(path.read_text())
    values = {**queries.choices(document), **({"host": "db1"} if path.stem == "host" else {})}
    panels = [panel for panel in document["panels"] if panel["type"] != "row"]
    exprs = [queries.filled(target["expr"], values) for p in panels for target in p["targets"]]
    answers = iter(ranges(lab, MONITOR, exprs, window))
    shown = [(panel, [next(answers) for _ in panel["targets"]]) for panel in panels]
    made = PICTURES / f"{path.stem}.png"
    draw(document["title"], shown, made)
    return made


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=8, help="of traffic, and of the pictures")
    minutes = parser.parse_args().minutes
    lab, begun = Lab(ROOT), time.time()
    PICTURES.mkdir(exist_ok=True)
    try:
        flows = Traffic(lab)
        flows.install(lab.members("db"))
        flows.serve(lab.members("db")[0], traffic.DATABASE)
        traffic.make(lab, minutes * 60)
        window = Window(begun, time.time())
        for path in sorted(DASHBOARDS.glob("*.json")):
            made = picture(lab, path, window)
            print(f"{made.relative_to(ROOT)}: {made.stat().st_size // 1024} kB")
    except ToolError as exc:
        print(f"pictures: {exc}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
