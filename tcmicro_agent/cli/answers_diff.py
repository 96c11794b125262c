"""`tc-micro policy diff`: which connections open or close between two sets of policies."""

from __future__ import annotations

import argparse
import gc
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tcmicro_agent.cli.answers_output import add_inventory, answer, examples, paint
from tcmicro_agent.cli.answers_source import load_inventory, load_policies
from tcmicro_agent.cli.results import NEGATIVE, Result
from tcmicro_agent.documents import document

if TYPE_CHECKING:
    from tcmicro_agent.policy.difference.report import Report

Adder = Callable[[str, object, str], argparse.ArgumentParser]
EXAMPLES = """Compared is what policies mean over the inventory, never their text: + opens, - closes, ~ is a setting.
OLD and NEW are files, directories, or REVISION:PATH in git. If rules begin or expire, later times are compared too.

exit codes: 0 no difference   3 differences   6 invalid input

examples:
  tc-micro policy diff HEAD:policies policies -i inventories/prod
  tc-micro policy diff main:inventories/prod/policies inventories/prod/policies -i inventories/prod -o markdown
"""


def add_verbs(add: Adder) -> None:
    diff = add("diff", policy_diff, "which connections open or close between two sets of policies")
    examples(diff, EXAMPLES)
    diff.add_argument("old", metavar="OLD")
    diff.add_argument("new", metavar="NEW")
    diff.add_argument(
        *("-o", "--output"),
        choices=("text", "markdown", "json"),
        default="text",
        help="default: text",
    )
    add_inventory(diff)


def policy_diff(args: argparse.Namespace) -> Result:
    from tcmicro_agent.policy.difference.report import fleet_report
    from tcmicro_agent.policy.resolve import resolve

    gc.disable()  # a fleet's bundles make millions of objects, none of them garbage before the end
    inventory = load_inventory(args)
    old, new = (resolve(load_policies(place), inventory) for place in (args.old, args.new))
    report = fleet_report(old, new, inventory, args.at or time.time())
    args.json = args.json or args.output == "json"
    shown = report.markdown() if args.output == "markdown" else paint(report.plain())
    return answer(args, _document(report), shown, NEGATIVE if report else 0)


def _document(report: Report) -> dict[str, Any]:
    return document("PolicyDiff", different=bool(report), phases=report.documents())
