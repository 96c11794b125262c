# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The results of drills as documents, lines and Markdown: a row for each fault. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ansible_collections.tcmicro.fleet.plugins.plugin_utils.drill.plan import Plan
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.drill.verdict import Verdict
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.report.record import clock

Document = dict[str, Any]
COLUMNS = ("fault", "planted on", "result", "by", "wave", "after", "exposed", "left", "locked out")
ESCAPES = str.maketrans({"\\": "\\\\", "|": "\\|", "<": "&lt;", "*": "\\*", "_": "\\_", "`": "\\`"})
MOST = 120  # characters of a cell


def document(plan: Plan, verdict: Verdict, rollout: str, now: float) -> Document:
    """`DrillResult`; `time` is in seconds since 1970."""
    by = verdict.by
    return {
        "apiVersion": "tcmicro/v1",
        "kind": "DrillResult",
        "time": now,
        "rollout": rollout,
        "drill": plan.document(),
        "passed": verdict.passed,
        "outcome": verdict.outcome.value,
        "by": vars(by) if by else None,
        "wave": verdict.wave,
        "seconds": verdict.seconds,
        "exposed": verdict.exposed,
        "exposure_planned": verdict.allowed,
        "on_fault": list(verdict.on_fault),
        "locked_out": list(verdict.locked_out),
        "remains": dict(verdict.remains),
        "wrong": list(verdict.wrong),
    }


def latest(results: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The last result of each fault, by its name."""
    found: dict[str, Mapping[str, Any]] = {}
    for result in sorted(results, key=lambda result: float(result["time"])):
        found[result["drill"]["fault"]] = result
    return [found[name] for name in sorted(found)]


def row(result: Mapping[str, Any]) -> tuple[str, ...]:
    by, seconds = result["by"], result["seconds"]
    return (
        result["drill"]["fault"],
        ", ".join(result["drill"]["hosts"]),
        result["outcome"] if result["passed"] else f"FAILED: {result['outcome']}",
        _said(by)[:MOST] if by else "-",
        str(result["wave"] or "-"),
        "-" if seconds is None else f"{seconds:.0f} s",
        f"{result['exposed']} of {result['exposure_planned']}",
        str(len(result["on_fault"]) + len(result["remains"])),
        str(len(result["locked_out"])),
    )


def _said(by: Mapping[str, Any]) -> str:
    return (
        " ".join(filter(None, [by["level"], by["gate"], by["host"] or "wave"])) + f": {by['text']}"
    )


def lines(result: Mapping[str, Any]) -> list[str]:
    """One result for a terminal."""
    drill, by = result["drill"], result["by"]
    how = "" if result["passed"] else "FAILED: "
    seconds = f" after {result['seconds']:.0f} s" if result["seconds"] is not None else ""
    where = f" in wave {result['wave']}{seconds}" if result["wave"] else ""
    left = [*result["on_fault"], *(f"{h}: {text}" for h, text in result["remains"].items())]
    return [
        f"{drill['fault']} on {', '.join(drill['hosts'])}: {how}{result['outcome']}{where}",
        f"by: {_said(by) if by else 'nothing'}",
        f"exposed: {result['exposed']} hosts of {result['exposure_planned']} planned",
        f"left: {', '.join(left) or 'nothing'}; locked out: {', '.join(result['locked_out']) or 'nobody'}",
        *(f"wrong: {text}" for text in result["wrong"]),
    ]


def markdown(results: Sequence[Mapping[str, Any]]) -> str:
    """A page: the table, then what is wrong and where each was written down."""
    lines = ["# Drills", "", _cells(COLUMNS), _cells(["---"] * len(COLUMNS))]
    lines += [_cells([cell.translate(ESCAPES) for cell in row(result)]) for result in results]
    for result in results:
        drill = result["drill"]
        lines += ["", f"## {drill['fault'].translate(ESCAPES)}", ""]
        much = f", {drill['amount']} {drill['unit']}" if drill["unit"] else ""
        lines += [
            f"- {drill['what']}{much}; {clock(result['time'])}; rollout {result['rollout'] or 'none'}."
        ]
        lines += [f"- **{text.translate(ESCAPES)}**" for text in result["wrong"]]
    return "\n".join([*lines, ""])


def _cells(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
