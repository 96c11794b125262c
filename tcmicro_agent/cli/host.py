"""The verbs about this host as a whole: how it is, whether it is fit, its last changes, what stays open."""

from __future__ import annotations

import argparse
from pathlib import Path

from tcmicro_agent import config as configuration
from tcmicro_agent import guard, preflight, recorder, report
from tcmicro_agent.cli import verbs
from tcmicro_agent.cli.arguments import Adder, positive
from tcmicro_agent.datapath.clock import Clock
from tcmicro_agent.documents import document
from tcmicro_agent.store import Store, read_document


def add_looking_verbs(add: Adder) -> None:
    shown = add("status", status, "release, datapath, live policy and pending change")
    shown.add_argument(
        "--samples",
        type=positive,
        metavar="SECONDS",
        help="and the samples of the last so many seconds, as `tc-micro samples` tells them",
    )
    shown.add_argument("--peers", action="store_true", help="with the samples: see there")
    check = add("preflight", check_fitness, "can this host run the agent? all findings at once")
    check.add_argument(
        "--metrics-port", type=int, metavar="PORT", help="default: as this host is configured"
    )


def add_txn_verbs(add: Adder) -> None:
    add("show", txn_show, "the last change of policy and of release")


def add_failsafe_verbs(add: Adder) -> None:
    replace = add("set", failsafe_set, "replace it")
    replace.add_argument("file", metavar="FILE", help="entries as in agent.json, as JSON")


def status(args: argparse.Namespace) -> verbs.Result:
    """How the host is, and on request what it recorded: a controller that asks for both has them from one process."""
    here = verbs.agent()
    found = report.status(here, here.store.config())
    if args.samples:
        found["samples"] = recorder.document(here, args.samples, with_peers=args.peers)
    return found, 0


def check_fitness(args: argparse.Namespace) -> verbs.Result:
    needs = preflight.Needs(metrics_port=args.metrics_port or Store().config().metrics.port)
    findings = preflight.judge(preflight.collect_facts(needs), needs)
    return preflight.document(findings), 0 if preflight.allowed(findings) else verbs.NEGATIVE


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
