"""The verbs `tc-micro policy …`: those that change what this host enforces, then all the others."""

from __future__ import annotations

import argparse
from pathlib import Path

from tcmicro_agent.cli import answers, authoring, imports, local, probation, staged, verbs
from tcmicro_agent.cli.arguments import (
    MAX_CONFIRM_S,
    MIN_CONFIRM_S,
    Adder,
    confirm_seconds,
    examples,
)

APPLY_EXAMPLES = """With --confirm-within the kernel takes the change back by itself unless it is confirmed in time.

examples:
  tc-micro policy apply db1.json --dry-run
  tc-micro policy apply db1.json --confirm-within 60
  tc-micro policy confirm 5f0c2a91 --token "$TOKEN"

exit codes:
  0 done   3 refused: signature, host, or a map would be full   6 not a bundle   7 another change is under way
  8 taken back before it was confirmed
"""


def add_verbs(add: Adder) -> None:
    apply = add(
        "apply", verbs.policy_apply, "make a bundle live, if asked only until it is confirmed"
    )
    examples(apply, APPLY_EXAMPLES)
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
    probation.add_requirement(apply)
    probation.add_epoch(apply)
    add_outcome_verbs(add)
    listing = add("list", verbs.policy_list, "the live rules with their hits and sources")
    listing.add_argument("--local", action="store_true", help="only this host's temporary rules")
    staged.add_verbs(add, confirm_seconds)
    authoring.add_verbs(add)
    answers.add_verbs(add)
    local.add_verbs(add)
    imports.add_verb(add)


def add_outcome_verbs(add: Adder) -> None:
    """How a change ends that is not kept yet; `txn` has the same ones."""
    probation.add_verbs(add, confirm_seconds)


def add_txn_verbs(add: Adder) -> None:
    add("show", verbs.txn_show, "the last change of policy and of release")
    add_outcome_verbs(add)


def add_failsafe_verbs(add: Adder) -> None:
    replace: argparse.ArgumentParser = add("set", verbs.failsafe_set, "replace it")
    replace.add_argument("file", metavar="FILE", help="entries as in agent.json, as JSON")
