"""Policies that this host fetches by itself: `tc-micro policy pull` and `pulled`."""

from __future__ import annotations

import argparse
import gc
import time
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from tcmicro_agent import pull
from tcmicro_agent.cli import verbs
from tcmicro_agent.cli.arguments import Adder, examples
from tcmicro_agent.documents import document
from tcmicro_agent.journal import Journal
from tcmicro_agent.mirror import Mirror
from tcmicro_agent.pull_book import PullBook

EXAMPLES = """What the mirror names is verified as a pushed policy is. It is live until its deadline, and kept when
this host can still reach the mirror over a new connection, and all that the pointer wants it to try; else the kernel
takes it back. tcmicro-pull.timer runs it (docs/pull.md).

examples:
  tc-micro policy pull --dry-run
  tc-micro policy pull
  tc-micro policy pulled

exit codes:
  0 done, or nothing to do   1 no mirror   3 refused: signature, host, age, epoch   6 damaged
  7 another change is under way   8 taken back, now or before
"""


def add_verbs(add: Adder) -> None:
    found = add("pull", policy_pull, "fetch what a mirror names for this host, try it, and keep it")
    examples(found, EXAMPLES)
    found.add_argument("--dry-run", action="store_true", help="say what would be done")
    pulled = add("pulled", policy_pulled, "what came of the last pull")
    pulled.add_argument(
        "--settings",
        type=Path,
        metavar="FILE",
        help="refuse this file where it cannot be /etc/tcmicro/pull.json",
    )


def policy_pull(args: argparse.Namespace) -> verbs.Result:
    here = verbs.agent_for_change()
    gc.disable()  # as for apply
    source = Mirror(PullBook(here.store).settings())
    found = pull.Pull(here, source, time.sleep).run(Journal(), dry_run=args.dry_run)
    live, done = here.observe().live, found.outcome
    return document(
        "PolicyPull",
        changed=bool(done and done.changed),
        result=found.result.value,
        generation=done.generation if done else live.generation,
        digest=done.digest if done else live.digest,
        ops=list(done.ops) if done else [],
        pointer=pull.describe(found),
    ), 0


def policy_pulled(args: argparse.Namespace) -> verbs.Result:
    here = verbs.agent()
    book = PullBook(here.store)
    book.settings(args.settings)
    live = here.observe().live if here.kernel.loaded else None
    running = live.digest if live and live.generation else ""
    return document("PolicyPulled", **book.read().to_document(), live=running), 0


def text(doc: dict[str, Any]) -> str:
    lines = [f"  {op}" for op in doc["ops"]]
    named = doc["pointer"]
    if doc["result"] == "waiting":
        lines.append(
            f"bundle {named['digest'][:12]} is for {named['share']} % of the hosts, this one comes "
            f"after {named['bucket']} %"
        )
    lines.append(f"generation {doc['generation']} ({doc['digest'][:12]}): {doc['result']}")
    return "\n".join(lines)


def pulled_text(doc: dict[str, Any]) -> str:
    why = f": {doc['why']}" if doc["why"] else ""
    named = f"serial {doc['serial']}, bundle {doc['digest'][:12]}" if doc["serial"] else "none"
    return "\n".join(
        [
            f"{_time(doc['at'])}  {doc['result']}{why}",
            f"pointer: {named}; live: {doc['live'][:12] or 'nothing'}",
            f"last well: {_time(doc['well_at'])}",
        ]
    )


def _time(seconds: int) -> str:
    if not seconds:
        return "never"
    return f"{datetime.fromtimestamp(seconds, timezone.utc):%Y-%m-%d %H:%M:%S} UTC"
