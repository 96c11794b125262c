"""The verbs about this host as a whole: how it is, whether it is fit, the agent itself, and the end of it."""

from __future__ import annotations

import argparse
from pathlib import Path

from tcmicro_agent import attachments, guard, preflight, release, report, upkeep
from tcmicro_agent import config as configuration
from tcmicro_agent.cli import verbs
from tcmicro_agent.cli.arguments import Adder
from tcmicro_agent.datapath import predecessors
from tcmicro_agent.datapath.clock import Clock
from tcmicro_agent.datapath.kernel import Kernel
from tcmicro_agent.documents import document
from tcmicro_agent.journal import Journal
from tcmicro_agent.store import Store, read_document


def add_looking_verbs(add: Adder) -> None:
    add("status", status, "release, datapath, live policy and pending change")
    check = add("preflight", check_fitness, "can this host run the agent? all findings at once")
    check.add_argument(
        "--metrics-port", type=int, metavar="PORT", help="default: as this host is configured"
    )


def add_running_verbs(add: Adder) -> None:
    add("run", run, "the agent itself (tcmicro-agent.service)")
    add("restore", restore, "what the agent does first, once (tcmicro-boot.service)")
    add("detach", detach, "remove our programs and pins: nothing is enforced any more")


def add_txn_verbs(add: Adder) -> None:
    add("show", txn_show, "the last change of policy and of release")


def add_failsafe_verbs(add: Adder) -> None:
    replace = add("set", failsafe_set, "replace it")
    replace.add_argument("file", metavar="FILE", help="entries as in agent.json, as JSON")


def status(_: argparse.Namespace) -> verbs.Result:
    here = verbs.agent()
    return report.status(here, here.store.config()), 0


def check_fitness(args: argparse.Namespace) -> verbs.Result:
    needs = preflight.Needs(metrics_port=args.metrics_port or Store().config().metrics.port)
    findings = preflight.judge(preflight.collect_facts(needs), needs)
    return preflight.document(findings), 0 if preflight.allowed(findings) else verbs.NEGATIVE


def run(_: argparse.Namespace) -> verbs.Result:
    # imported late: the metrics library is of no use to any other verb
    from tcmicro_agent.daemon import Daemon

    here = verbs.agent()
    Daemon(here, here.store, release.ROOT, Journal()).run()
    return {}, 0


def restore(_: argparse.Namespace) -> verbs.Result:
    """What the agent does first: programs, hooks, failsafe, the confirmed policy (tcmicro-boot.service)."""
    here = verbs.agent()
    config = here.store.config()
    done = [
        *upkeep.load(here, release.ROOT, config),
        *upkeep.converge(here, config),
        *attachments.Attachments(here.kernel).converge(config),
    ]
    return document("Restore", changed=bool(done), done=done), 0


def detach(_: argparse.Namespace) -> verbs.Result:
    here = verbs.agent()
    done = [f"detached from {name}" for name in attachments.detach(here.kernel)]
    if here.kernel.pins.exists():
        here.kernel.unpin()
        done.append(f"removed {here.kernel.pins}")
    for old in predecessors.find(here.kernel.pins):
        Kernel(old.pins).unpin()
        done.append(f"removed {old.pins}")
    return document("Detach", changed=bool(done), done=done), 0


def txn_show(_: argparse.Namespace) -> verbs.Result:
    """The last change of policy and of release, and how long they still wait."""
    here, now_ms = verbs.agent(), Clock().boot_ms()
    policy = report.transaction(here.transaction(), now_ms)
    last_release = report.release_transaction(guard.Host().read(), now_ms)
    return document("Transactions", policy=policy, release=last_release), 0


def failsafe_set(args: argparse.Namespace) -> verbs.Result:
    here = verbs.agent()
    wanted = configuration.parse_failsafe(read_document(Path(args.file)))
    added, removed = here.kernel.set_failsafe(frozenset(entry.key() for entry in wanted))
    done = [f"{added} added, {removed} removed"]
    return document("Failsafe", changed=bool(added or removed), done=done), 0
