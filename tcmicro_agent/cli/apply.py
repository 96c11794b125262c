"""The verb that makes a bundle live: `tc-micro policy apply`."""

from __future__ import annotations

import argparse
import gc
from pathlib import Path

from tcmicro_agent import admission, probation
from tcmicro_agent.cli import verbs
from tcmicro_agent.cli.arguments import (
    MAX_CONFIRM_S,
    MIN_CONFIRM_S,
    Adder,
    add_epoch,
    add_requirement,
    confirm_seconds,
    examples,
)
from tcmicro_agent.documents import document
from tcmicro_agent.store import read_bundle

EXAMPLES = """With --confirm-within the kernel takes the change back by itself unless it is confirmed in time.

examples:
  tc-micro policy apply db1.json --dry-run
  tc-micro policy apply db1.json --confirm-within 60
  tc-micro policy confirm 5f0c2a91 --token "$TOKEN"

exit codes:
  0 done   3 refused: signature, host, or a map would be full   6 not a bundle   7 another change is under way
  8 taken back before it was confirmed
"""


def add_verb(add: Adder) -> None:
    apply = add("apply", policy_apply, "make a bundle live, if asked only until it is confirmed")
    examples(apply, EXAMPLES)
    apply.add_argument("file", metavar="FILE", help="bundle as JSON")
    apply.add_argument("--signature", type=Path, metavar="FILE", help="default: FILE.sig")
    apply.add_argument(
        "--confirm-within",
        type=confirm_seconds,
        default=0,
        metavar="SECONDS",
        help=f"take it back unless confirmed ({MIN_CONFIRM_S}-{MAX_CONFIRM_S}; default: keep it)",
    )
    apply.add_argument("--dry-run", action="store_true", help="say what would be done")
    add_requirement(apply)
    add_epoch(apply)


def policy_apply(args: argparse.Namespace) -> verbs.Result:
    here = verbs.agent_for_change()
    gc.disable()  # a large bundle makes a million objects, none of them garbage before the end
    bundle = read_bundle(Path(args.file))
    ticket = admission.examine(here.store, bundle, Path(args.file), args.signature)

    def admit() -> None:
        probation.fence(here.store, args.epoch, dry_run=args.dry_run)
        admission.admit(here.store, ticket, dry_run=args.dry_run)

    done = here.apply(
        bundle,
        confirm_within=args.confirm_within,
        dry_run=args.dry_run,
        evidence=args.evidence,
        admit=admit,
    )
    seen = probation.connected()
    answer = {**verbs.change(done, args.confirm_within), "signature": ticket.document()}
    answer["connection"] = seen.to_document() if seen else None
    return document("PolicyApply", **answer), 0
