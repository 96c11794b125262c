"""The verb that says what is wrong and what to do: `tc-micro doctor`."""

from __future__ import annotations

import argparse
import os
import sys
from typing import Any

from tcmicro_agent import examination
from tcmicro_agent.cli import verbs
from tcmicro_agent.cli.arguments import Adder, examples
from tcmicro_agent.cli.table import table

COLOURS = {"ok": 32, "warn": 33, "fail": 31}
EXAMPLES = """The host, the service, attachments, drift, changes that wait, full maps, lost events, the failsafe,
keys and the floor, the clock and the last errors of the journal, each with what to do about it. It
changes nothing.

examples:
  tc-micro doctor
  tc-micro doctor --faults
  tc-micro doctor -o jsonl | jq -r 'select(.level == "fail") | .hint'

exit codes:
  0 nothing is wrong; warnings are to know   3 something is wrong
"""


def add_verb(add: Adder) -> None:
    doctor = add("doctor", examine, "what is wrong on this host, and what to do about it")
    examples(doctor, EXAMPLES)
    doctor.add_argument("--faults", action="store_true", help="leave out what is as it should be")


def examine(args: argparse.Namespace) -> verbs.Result:
    found = examination.examine(verbs.agent())
    if args.faults:
        found["findings"] = [row for row in found["findings"] if row["level"] != "ok"]
    return found, 0 if found["ok"] else verbs.NEGATIVE


def text(doc: dict[str, Any]) -> str:
    """With colours on a terminal, unless NO_COLOR is set."""
    rows = [(row["level"], row["check"], row["found"], row["hint"]) for row in doc["findings"]]
    lines = table(("LEVEL", "CHECK", "FOUND", "WHAT TO DO"), rows).splitlines()
    if sys.stdout.isatty() and not os.environ.get("NO_COLOR"):
        lines[1:] = [_painted(line, row[0]) for line, row in zip(lines[1:], rows)]
    wrong = sum(row[0] == "fail" for row in rows)
    verdict = "nothing is wrong" if doc["ok"] else f"{wrong} things are wrong"
    return "\n".join([*lines, verdict])


def _painted(line: str, level: str) -> str:
    return f"\033[{COLOURS[level]}m{level}\033[0m{line[len(level) :]}"
