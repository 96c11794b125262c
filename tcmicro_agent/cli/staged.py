"""The verbs about a staged policy: `tc-micro policy stage|share|unstage|promote|differences`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from tcmicro_agent import admission, probation, staging, trial_report
from tcmicro_agent.cli import verbs
from tcmicro_agent.cli.arguments import Adder, add_epoch, add_requirement, confirm_seconds
from tcmicro_agent.documents import document
from tcmicro_agent.policy import bundle as bundles
from tcmicro_agent.reconcile import Agent, Outcome
from tcmicro_agent.store import read_document
from tcmicro_agent.trial import DEFAULT_SHARE_S, Share

EXAMPLES = """The staged policy is compared with the live one on every new flow. With a share it also judges that
percentage of the new flows, until its time is over; the kernel ends that by itself.

examples:
  tc-micro policy stage db1.json                          # compare only: nothing is dropped by it
  tc-micro policy differences                             # what it would decide otherwise, by which rules
  tc-micro policy share 10 --for 600                      # let it judge every tenth new flow for 10 minutes
  tc-micro policy promote --confirm-within 60             # make it the live one, as apply does
  tc-micro policy unstage                                 # or forget it
"""


def add_verbs(add: Adder) -> None:
    stage = add("stage", policy_stage, "compare a bundle with the live one on real traffic")
    stage.epilog, stage.formatter_class = EXAMPLES, argparse.RawDescriptionHelpFormatter
    stage.add_argument("file", metavar="FILE", help="bundle as JSON")
    stage.add_argument("--signature", type=Path, metavar="FILE", help="default: FILE.sig")
    stage.add_argument(
        "--share",
        type=_percent,
        default=0,
        metavar="PERCENT",
        help="percentage of the new flows that it judges (0-100; default: 0, it only compares)",
    )
    _add_share_for(stage, "--share-for")
    stage.add_argument("--dry-run", action="store_true", help="say what would be done")
    share = add("share", policy_share, "let the staged policy judge a share of the new flows")
    share.add_argument(
        "percent", type=_percent, metavar="PERCENT", help="0-100; 0: it only compares"
    )
    _add_share_for(share, "--for")
    add("unstage", policy_unstage, "end the trial: nothing is staged any more")
    promote = add("promote", policy_promote, "make the staged policy the live one, as it is")
    promote.add_argument(
        "--confirm-within",
        type=confirm_seconds,
        default=0,
        metavar="SECONDS",
        help="take it back unless confirmed (default: keep it)",
    )
    add_requirement(promote)
    add_epoch(promote)
    promote.add_argument("--dry-run", action="store_true", help="say what would be done")
    differences = add("differences", policy_differences, "what the staged policy decides otherwise")
    differences.add_argument("--limit", type=int, default=100, metavar="N")


def policy_stage(args: argparse.Namespace) -> verbs.Result:
    bundle = bundles.parse(read_document(Path(args.file)))
    share = Share(args.share, args.share_for)
    here = verbs.agent_for_change()
    ticket = admission.examine(here.store, bundle, Path(args.file), args.signature)
    outcome = staging.stage(
        here,
        bundle,
        share,
        dry_run=args.dry_run,
        admit=lambda: admission.admit(here.store, ticket, dry_run=args.dry_run),
    )
    answer = {**_staged(here, outcome, share), "signature": ticket.document()}
    return document("PolicyStage", **answer, ops=list(outcome.ops)), 0


def policy_share(args: argparse.Namespace) -> verbs.Result:
    share, here = Share(args.percent, args.share_for), verbs.agent()
    outcome = staging.set_share(here, share)
    return document("PolicyShare", **_staged(here, outcome, share)), 0


def policy_unstage(_: argparse.Namespace) -> verbs.Result:
    return document("PolicyUnstage", **verbs.outcome(staging.unstage(verbs.agent()))), 0


def policy_promote(args: argparse.Namespace) -> verbs.Result:
    within, here = args.confirm_within, verbs.agent_for_change()

    def readmit(digest: str) -> None:
        probation.fence(here.store, args.epoch, dry_run=args.dry_run)
        admission.readmit(here.store, digest)

    promoted = staging.promote(
        here,
        confirm_within=within,
        dry_run=args.dry_run,
        evidence=args.evidence,
        readmit=readmit,
    )
    return document("PolicyPromote", **verbs.change(promoted, within)), 0


def policy_differences(args: argparse.Namespace) -> verbs.Result:
    found = trial_report.differences(verbs.agent(), limit=args.limit)
    return document("PolicyDifferences", **found), 0


def _staged(agent: Agent, outcome: Outcome, share: Share) -> dict[str, Any]:
    return {
        **verbs.outcome(outcome),
        "judged": trial_report.judged(agent),
        "share": share.percent,
        "share_left_s": share.seconds if share.percent else None,
    }


def _add_share_for(parser: argparse.ArgumentParser, name: str) -> None:
    parser.add_argument(
        name,
        dest="share_for",
        type=confirm_seconds,
        default=DEFAULT_SHARE_S,
        metavar="SECONDS",
        help=f"then the kernel ends the share, and the comparison goes on (default: {DEFAULT_SHARE_S})",
    )


def _percent(text: str) -> int:
    value = int(text) if text.isdigit() else -1
    if not 0 <= value <= 100:
        raise argparse.ArgumentTypeError(f"{text!r} is not a percentage (0-100)")
    return value
