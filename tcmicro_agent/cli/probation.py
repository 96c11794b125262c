"""The verbs about a policy that is live and not kept yet: `tc-micro policy confirm|renew|commit|revert`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from tcmicro_agent import evidence, probation
from tcmicro_agent.cli import verbs
from tcmicro_agent.cli.arguments import Adder, add_epoch, confirm_seconds
from tcmicro_agent.documents import document
from tcmicro_agent.errors import BundleError
from tcmicro_agent.evidence import Probe
from tcmicro_agent.jsonutil import loads
from tcmicro_agent.reconcile import Outcome
from tcmicro_agent.store import read_document


def add_verbs(add: Adder) -> None:
    """How a change ends that is not kept yet; `policy` and `txn` have the same ones."""
    confirm = add("confirm", policy_confirm, "keep the pending change, for good or under a lease")
    _add_ticket(confirm)
    confirm.add_argument(
        "--evidence",
        metavar="FILE",
        help="what was tried after it went live, as JSON; -: on stdin (docs/confirm.md)",
    )
    _add_lease(confirm, required=False)
    renew = add("renew", policy_renew, "move the end of a lease")
    _add_ticket(renew)
    _add_lease(renew, required=True)
    _add_ticket(add("commit", policy_commit, "keep for good what is confirmed under a lease"))
    add_epoch(add("revert", policy_revert, "take a change back that is not kept for good, now"))


def policy_confirm(args: argparse.Namespace) -> verbs.Result:
    here = verbs.agent()
    done = here.confirm(
        args.id,
        args.token,
        lease=args.lease,
        admit=lambda: probation.fence(here.store, args.epoch),
        accept=probation.Acceptance(here, here.store.config(), _read_probes(args.evidence)),
    )
    return document("PolicyConfirm", **_answer(done, args.lease)), 0


def policy_renew(args: argparse.Namespace) -> verbs.Result:
    done = probation.renew(verbs.agent(), args.id, args.token, args.lease, args.epoch)
    return document("PolicyRenew", **_answer(done, args.lease)), 0


def policy_commit(args: argparse.Namespace) -> verbs.Result:
    done = probation.commit(verbs.agent(), args.id, args.token, args.epoch)
    return document("PolicyCommit", **_answer(done, 0)), 0


def policy_revert(args: argparse.Namespace) -> verbs.Result:
    here = verbs.agent()
    done = here.revert(admit=lambda: probation.fence(here.store, args.epoch))
    return document("PolicyRevert", **verbs.outcome(done)), 0


def _answer(done: Outcome, lease: int) -> dict[str, Any]:
    leased = done.transaction is not None
    state = "leased" if leased else "committed"
    return {**verbs.outcome(done), "state": state, "deadline_in_s": lease if leased else None}


def _read_probes(name: str | None) -> tuple[Probe, ...]:
    if name is None:
        return ()
    if name == "-":
        return evidence.parse(loads(sys.stdin.buffer.read(), BundleError, "stdin"))
    return evidence.parse(read_document(Path(name)))


def _add_ticket(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("id", metavar="ID")
    parser.add_argument("--token", required=True)
    add_epoch(parser)


def _add_lease(parser: argparse.ArgumentParser, *, required: bool) -> None:
    parser.add_argument(
        "--lease",
        type=confirm_seconds,
        required=required,
        default=0,
        metavar="SECONDS",
        help="then the kernel takes it back, unless it is renewed or committed",
    )
