"""All verbs, noun by noun. Help, completion and the manual page are made of what is said here."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from tcmicro_agent.cli import (
    about,
    completion,
    counters,
    doctor,
    events,
    explain,
    policy,
    rollouts,
    samples,
    sessions,
    sysdump,
    top,
    trace,
    verbs,
)
from tcmicro_agent.cli.arguments import Adder
from tcmicro_agent.cli.formats import FORMATS
from tcmicro_agent.version import VERSION

DESCRIPTION = "Micro-segmentation of this host: what is enforced, by which rule, and until when."
EXIT_CODES = """exit codes:
  0 done   1 failed   2 usage   3 refused or not fit, nothing changed; of questions: no   4 undecidable
  6 invalid input   7 another change is under way   8 unconfirmed and taken back   130 ended by Ctrl-C

examples:
  tc-micro status
  tc-micro doctor
  tc-micro top
  tc-micro policy apply db1.json --confirm-within 60
  tc-micro policy stage db1.json && tc-micro policy differences
  tc-micro policy validate -i inventories/prod
  tc-micro policy explain web1 db1:5432/tcp -i inventories/prod
  tc-micro explain 10.0.1.7 self:5432/tcp
  tc-micro session list --limit 20 -o jsonl | jq .remote
  tc-micro event follow --reason default_deny --seconds 60

environment:
  NO_COLOR   set to anything: no colours (https://no-color.org)
"""
NOUNS: tuple[tuple[str, str, Callable[[Adder], None]], ...] = (
    ("policy", "what this host enforces, and policies as people write them", policy.add_verbs),
    ("rule", "which rules decide, and which never do", counters.add_rule_verbs),
    ("session", "tracked flows", sessions.add_verbs),
    ("stats", "counters", counters.add_stats_verbs),
    ("event", "what the kernel decides, as it decides it", events.add_verbs),
    ("txn", "changes that wait to be confirmed, or did last", policy.add_txn_verbs),
    ("failsafe", "what stays open whatever policy says", policy.add_failsafe_verbs),
    ("rollout", "rollouts of this controller: look, hold, approve, abort", rollouts.add_verbs),
    ("trace", "flows by process, time in our programs, drops by the kernel", trace.add_verbs),
)
if TYPE_CHECKING:  # generic for the type checker only
    Verbs = argparse._SubParsersAction[argparse.ArgumentParser]


def parser() -> argparse.ArgumentParser:
    whole = argparse.ArgumentParser(
        prog="tc-micro",
        description=DESCRIPTION,
        epilog=EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    whole.add_argument("--version", action="version", version=f"tc-micro {VERSION}")
    verb = whole.add_subparsers(required=True, metavar="VERB")
    _add_plain(_adder(verb))
    for noun, text, add_verbs in NOUNS:
        group = verb.add_parser(noun, help=text, description=text)
        add_verbs(_adder(group.add_subparsers(required=True, metavar="VERB")))
    for _, leaf in leaves(whole):
        _add_output(leaf)
    return whole


def _add_plain(add: Adder) -> None:
    """The verbs without a noun."""
    add("status", verbs.status, "release, datapath, live policy and pending change")
    check = add("preflight", verbs.preflight, "can this host run the agent? all findings at once")
    check.add_argument(
        "--metrics-port", type=int, metavar="PORT", help="default: as this host is configured"
    )
    doctor.add_verb(add)
    explain.add_verb(add)
    about.add_verbs(add)
    top.add_verb(add)
    samples.add_verb(add)
    sysdump.add_verb(add)
    completion.add_verb(add, parser)
    add("run", verbs.run, "the agent itself (tcmicro-agent.service)")
    add("restore", verbs.restore, "what the agent does first, once (tcmicro-boot.service)")
    add("detach", verbs.detach, "remove our programs and pins: nothing is enforced any more")


def leaves(
    parent: argparse.ArgumentParser, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], argparse.ArgumentParser]]:
    """Every verb by the words that call it, in the order they were added."""
    groups = [a for a in parent._actions if isinstance(a, argparse._SubParsersAction)]
    if not groups:
        yield path, parent
    for group in groups:
        for name, child in group.choices.items():
            yield from leaves(child, (*path, name))


def _adder(verb: Verbs) -> Adder:
    """A function that adds one verb: name, what runs it, its one line of help."""

    def add(name: str, run: object, text: str) -> argparse.ArgumentParser:
        added = verb.add_parser(name, help=text, description=text)
        added.set_defaults(verb=run)
        return added

    return add


def _add_output(verb: argparse.ArgumentParser) -> None:
    """-o for every verb that has no forms of its own; --json for all."""
    verb.add_argument("--json", action="store_true", help="one JSON document on stdout")
    if "-o" not in verb._option_string_actions:
        verb.add_argument(
            *("-o", "--output"),
            choices=FORMATS,
            default="table",
            help="default: table, for eyes; jsonl: an item a line",
        )
