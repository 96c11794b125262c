"""What each verb does: parse at the border, call the agent, return a document and an exit code."""

from __future__ import annotations

import argparse
import gc
import os
from pathlib import Path
from typing import Any

from tcmicro_agent import (
    admission,
    attachments,
    guard,
    listing,
    probation,
    release,
    report,
    takeover,
    upkeep,
)
from tcmicro_agent import config as configuration
from tcmicro_agent import preflight as checks
from tcmicro_agent.datapath import predecessors
from tcmicro_agent.datapath.clock import Clock
from tcmicro_agent.datapath.kernel import Kernel
from tcmicro_agent.errors import RefusedError
from tcmicro_agent.journal import Journal
from tcmicro_agent.reconcile import Agent, Outcome
from tcmicro_agent.store import Store, read_bundle, read_document
from tcmicro_agent.transaction import Transaction

Result = tuple[dict[str, Any], int]
NEGATIVE = 3


def agent() -> Agent:
    if os.geteuid() != 0:
        raise RefusedError("this needs root", hint="run it with sudo")
    return Agent(Kernel(), Store())


def agent_for_change() -> Agent:
    """For what builds a policy: only where that policy would rule."""
    found = agent()
    takeover.refuse_while_unfinished(found.kernel)
    return found


def status(_: argparse.Namespace) -> Result:
    here = agent()
    return report.status(here, here.store.config()), 0


def stats_show(_: argparse.Namespace) -> Result:
    return listing.stats(agent()), 0


def policy_list(args: argparse.Namespace) -> Result:
    found = listing.policy(agent())
    return {**found, "rules": []} if args.local else found, 0


def policy_apply(args: argparse.Namespace) -> Result:
    here = agent_for_change()
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
    answer = {**change(done, args.confirm_within), "signature": ticket.document()}
    answer["connection"] = seen.to_document() if seen else None
    return report.document("PolicyApply", **answer), 0


def txn_show(_: argparse.Namespace) -> Result:
    """The last change of policy and of release, and how long they still wait."""
    here, now_ms = agent(), Clock().boot_ms()
    policy = report.transaction(here.transaction(), now_ms)
    release = report.release_transaction(guard.Host().read(), now_ms)
    return report.document("Transactions", policy=policy, release=release), 0


def restore(_: argparse.Namespace) -> Result:
    """What the agent does first: programs, hooks, failsafe, the confirmed policy (tcmicro-boot.service)."""
    here = agent()
    config = here.store.config()
    done = [
        *upkeep.load(here, release.ROOT, config),
        *upkeep.converge(here, config),
        *attachments.Attachments(here.kernel).converge(config),
    ]
    return report.document("Restore", changed=bool(done), done=done), 0


def failsafe_set(args: argparse.Namespace) -> Result:
    here = agent()
    wanted = configuration.parse_failsafe(read_document(Path(args.file)))
    added, removed = here.kernel.set_failsafe(frozenset(entry.key() for entry in wanted))
    done = [f"{added} added, {removed} removed"]
    return report.document("Failsafe", changed=bool(added or removed), done=done), 0


def preflight(args: argparse.Namespace) -> Result:
    needs = checks.Needs(metrics_port=args.metrics_port or Store().config().metrics.port)
    findings = checks.judge(checks.collect_facts(needs), needs)
    return checks.document(findings), 0 if checks.allowed(findings) else NEGATIVE


def detach(_: argparse.Namespace) -> Result:
    here = agent()
    done = [f"detached from {name}" for name in attachments.detach(here.kernel)]
    if here.kernel.pins.exists():
        here.kernel.unpin()
        done.append(f"removed {here.kernel.pins}")
    for old in predecessors.find(here.kernel.pins):
        Kernel(old.pins).unpin()
        done.append(f"removed {old.pins}")
    return report.document("Detach", changed=bool(done), done=done), 0


def run(_: argparse.Namespace) -> Result:
    # imported late: the metrics library is of no use to any other verb
    from tcmicro_agent.daemon import Daemon

    here = agent()
    Daemon(here, here.store, release.ROOT, Journal()).run()
    return {}, 0


def outcome(done: Outcome) -> dict[str, Any]:
    return {"changed": done.changed, "generation": done.generation, "digest": done.digest}


def change(done: Outcome, confirm_within: int) -> dict[str, Any]:
    """What apply and promote have in common."""
    return {
        **outcome(done),
        "state": "pending" if done.transaction else "committed",
        "ops": list(done.ops),
        "transaction": _ticket(done.transaction, confirm_within),
    }


def _ticket(transaction: Transaction | None, seconds: int) -> dict[str, Any] | None:
    if transaction is None:
        return None
    ticket = {"id": transaction.id, "token": transaction.token, "deadline_in_s": seconds}
    return {**ticket, "evidence": transaction.evidence.value}
