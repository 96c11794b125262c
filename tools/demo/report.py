"""The demo's result as a Markdown report and as JSON."""

from __future__ import annotations

import json
import platform
import time
from collections.abc import Sequence
from pathlib import Path

from tools.demo.scene import Result

HEAD = """\
# tcmicro demo: {verdict}

{when}, Linux {kernel}, {machine}, {seconds:.0f} s for {count} steps.

| step | what it shows | result | seconds |
|---|---|---|---|
"""


def verdict(results: Sequence[Result]) -> str:
    return "ok" if all(result.verdict == "ok" for result in results) else "failed"


def section(result: Result) -> str:
    lines = [f"\n## {result.step.number} {result.step.name}: {result.verdict}\n"]
    lines += [f"- {line}" for line in result.evidence]
    if result.fault:
        lines += ["", "```", result.fault, "```"]
    return "\n".join(lines) + "\n"


def markdown(results: Sequence[Result], when: str) -> str:
    head = HEAD.format(
        verdict=verdict(results),
        when=when,
        kernel=platform.release(),
        machine=platform.machine(),
        seconds=sum(result.seconds for result in results),
        count=len(results),
    )
    rows = [
        f"| {r.step.number} | {r.step.shows} | {r.verdict} | {r.seconds:.1f} |\n" for r in results
    ]
    return head + "".join(rows) + "".join(section(result) for result in results)


def document(results: Sequence[Result], when: str) -> dict[str, object]:
    steps = [
        {
            "number": result.step.number,
            "name": result.step.name,
            "result": result.verdict,
            "seconds": round(result.seconds, 1),
            "evidence": list(result.evidence),
            "fault": result.fault,
        }
        for result in results
    ]
    return {"verdict": verdict(results), "when": when, "kernel": platform.release(), "steps": steps}


def write(results: Sequence[Result], folder: Path) -> Path:
    """Write demo-report.md and demo-report.json; the path of the first."""
    folder.mkdir(parents=True, exist_ok=True)
    when = time.strftime("%Y-%m-%d %H:%M:%S %Z")
    path = folder / "demo-report.md"
    path.write_text(markdown(results, when))
    path.with_suffix(".json").write_text(json.dumps(document(results, when), indent=1) + "\n")
    return path
