"""The verbs about a policy that is live and not kept yet: `tc-micro policy confirm|renew|commit|revert`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tcmicro_agent import evidence, probation, report
from tcmicro_agent.cli import verbs
from tcmicro_agent.errors import BundleError
from tcmicro_agent.evidence import Probe, Requirement
from tcmicro_agent.jsonutil import loads
from tcmicro_agent.reconcile import Outcome
from tcmicro_agent.store import read_document

Adder = Callable[[str, object, str], argparse.ArgumentParser]


def add_verbs(add: Adder, seconds: Callable[[str], int]) -> None:
    """`seconds` reads how long something may last."""
    confirm = add("confirm", policy_confirm, "keep the pending change, for good or under a lease")
    _add_ticket(confirm)
    confirm.add_argument(
        "--evidence",
        metavar="FILE",
        help="what was tried after it went live, as JSON; -: on stdin (docs/confirm.md)",
    )
    _add_lease(confirm, seconds, required=False)
    renew = add("renew", policy_renew, "move the end of a lease")
    _add_ticket(renew)
    _add_lease(renew, seconds, required=True)
    _add_ticket(add("commit", policy_commit, "keep for good what is confirmed under a lease"))
    add_epoch(add("revert", policy_revert, "take a change back that is not kept for good, now"))


def add_epoch(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--epoch",
        type=_epoch,
        metavar="N",
        help="of the controller; refused when one with a higher number was here",
    )


def add_requirement(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--evidence",
        type=Requirement,
        choices=list(Requirement),
        default=Requirement.NONE,
        metavar="|".join(r.value for r in Requirement),
        help="what a confirmation has to show: nothing (default), a new ssh connection, or that and a judged flow",
    )


def policy_confirm(args: argparse.Namespace) -> verbs.Result:
    here = verbs.agent()
    done = here.confirm(
        args.id,
        args.token,
        lease=args.lease,
        admit=lambda: probation.fence(here.store, args.epoch),
        accept=probation.Acceptance(here, here.store.config(), _read_probes(args.evidence)),
    )
    return report.document("PolicyConfirm", **_answer(done, args.lease)), 0


def policy_renew(args: argparse.Namespace) -> verbs.Result:
    done = probation.renew(verbs.agent(), args.id, args.token, args.lease, args.epoch)
    return report.document("PolicyRenew", **_answer(done, args.lease)), 0


def policy_commit(args: argparse.Namespace) -> verbs.Result:
    done = probation.commit(verbs.agent(), args.id, args.token, args.epoch)
    return report.document("PolicyCommit", **_answer(done, 0)), 0


def policy_revert(args: argparse.Namespace) -> verbs.Result:
    here = verbs.agent()
    done = here.revert(admit=lambda: probation.fence(here.store, args.epoch))
    return report.document("PolicyRevert", **verbs.outcome(done)), 0


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


def _add_lease(
    parser: argparse.ArgumentParser, seconds: Callable[[str], int], *, required: bool
) -> None:
    parser.add_argument(
        "--lease",
        type=seconds,
        required=required,
        default=0,
        metavar="SECONDS",
        help="then the kernel takes it back, unless it is renewed or committed",
    )


def _epoch(text: str) -> int:
    if not text.isdigit():
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number")
    return int(text)
