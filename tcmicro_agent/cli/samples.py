"""The verb `tc-micro samples`: what this host did lately, as numbers."""

from __future__ import annotations

import argparse
from typing import Any

from tcmicro_agent import recorder
from tcmicro_agent.cli import verbs
from tcmicro_agent.cli.arguments import Adder, examples, positive
from tcmicro_agent.cli.table import table

LONGEST_S = int(2 * recorder.LINES * recorder.EVERY_S)
EXAMPLES = """Counters grow since the datapath was loaded, those named agent_… since the agent started.

examples:
  tc-micro samples
  tc-micro samples --since 60 --peers
  tc-micro samples --since 3600 --json | jq '.samples[].values.denied_ingress'
"""


def add_verb(add: Adder) -> None:
    verb = add("samples", samples, "what this host did lately, as numbers, ten seconds apart")
    verb.add_argument(
        "--since",
        type=positive,
        default=600,
        metavar="SECONDS",
        help=f"how far back (default: 600, at most {LONGEST_S} are kept)",
    )
    examples(verb, EXAMPLES)
    verb.add_argument(
        "--peers", action="store_true", help="and which peers do not answer now; reads all sessions"
    )


def samples(args: argparse.Namespace) -> verbs.Result:
    return recorder.document(verbs.agent(), args.since, with_peers=args.peers), 0


def text(doc: dict[str, Any]) -> str:
    """The first and the last sample, and what lies between."""
    found = doc["samples"]
    if not found:
        return "no samples: the agent takes one every 10 s while it runs"
    first, last = found[0], found[-1]
    rows = [(name, first["values"].get(name, "-"), value) for name, value in last["values"].items()]
    shown = table(("VALUE", f"{_ago(doc, first)} s AGO", f"{_ago(doc, last)} s AGO"), rows)
    silent = [
        f"{p['unanswered']} of {p['opened']}" + f" to {p['address']}" for p in doc["peers"] or []
    ]
    return "\n".join([shown, f"{len(found)} samples", *silent])


def _ago(doc: dict[str, Any], sample: dict[str, Any]) -> int:
    return int(doc["now"] - sample["t"])
