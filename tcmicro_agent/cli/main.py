"""The parser, and the one place where errors become exit codes."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tcmicro_agent.abi import Reason
from tcmicro_agent.cli import (
    answers,
    authoring,
    events,
    explain,
    imports,
    local,
    output,
    rollouts,
    sessions,
    staged,
    verbs,
)
from tcmicro_agent.errors import TcmicroError
from tcmicro_agent.events import parse_reason
from tcmicro_agent.version import VERSION

EXIT_CODES = """exit codes:
  0 done   1 failed   2 usage   3 refused or not fit, nothing changed; of questions: no   4 undecidable
  6 invalid input   7 another change is under way   8 unconfirmed and taken back

examples:
  tc-micro status
  tc-micro policy apply db1.json --confirm-within 60
  tc-micro policy stage db1.json && tc-micro policy differences
  tc-micro policy validate -i inventories/prod
  tc-micro policy explain web1 db1:5432/tcp -i inventories/prod
  tc-micro explain 10.0.1.7 self:5432/tcp
  tc-micro session list --limit 20 --json | jq '.sessions[].remote'
  tc-micro event follow --reason default_deny --seconds 60
"""
if TYPE_CHECKING:  # generic for the type checker only
    Verbs = argparse._SubParsersAction[argparse.ArgumentParser]
Adder = Callable[[str, object, str], argparse.ArgumentParser]
MIN_CONFIRM_S, MAX_CONFIRM_S = 5, 86400


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one verb; returns the exit code."""
    args = parser().parse_args(arguments)
    try:
        document, code = args.verb(args)
        if document:
            output.show(document, as_json=args.json)
    except TcmicroError as error:
        output.show_error(error, as_json=args.json)
        return error.exit_code
    except BrokenPipeError:  # whoever read has seen enough; there is no place for what is left
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return 130
    return int(code)


def parser() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--json", action="store_true", help="one JSON document on stdout")
    top = argparse.ArgumentParser(
        prog="tc-micro",
        description="Micro-segmentation of this host: what is enforced, by which rule, and until when.",
        epilog=EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="version", version=f"tc-micro {VERSION}")
    verb = top.add_subparsers(required=True, metavar="VERB")

    add = _adder(verb, common)
    add("status", verbs.status, "release, datapath, live policy and pending change")
    check = add("preflight", verbs.preflight, "can this host run the agent? all findings at once")
    check.add_argument(
        "--metrics-port", type=int, metavar="PORT", help="default: as this host is configured"
    )
    add("run", verbs.run, "the agent itself (tcmicro-agent.service)")
    add("restore", verbs.restore, "what the agent does first, once (tcmicro-boot.service)")
    add("detach", verbs.detach, "remove our programs and pins: nothing is enforced any more")
    _add_policy(
        _group(verb, "policy", "what this host enforces, and policies as people write them"), common
    )
    sessions.add_verbs(_adder(_group(verb, "session", "tracked flows"), common))
    stats = _adder(_group(verb, "stats", "counters"), common)
    stats("show", verbs.stats_show, "packets and bytes by direction and reason")
    explain.add_verb(add)
    _add_events(_group(verb, "event", "what the kernel decides, as it decides it"), common)
    txn = _adder(_group(verb, "txn", "changes that wait to be confirmed, or did last"), common)
    txn("show", verbs.txn_show, "the last change of policy and of release")
    rollouts.add_verbs(_adder(_group(verb, "rollout", "rollouts of this controller"), common))
    failsafe = _adder(_group(verb, "failsafe", "what stays open whatever policy says"), common)
    failsafe("set", verbs.failsafe_set, "replace it").add_argument("file", metavar="FILE")
    return top


def _add_policy(group: Verbs, common: argparse.ArgumentParser) -> None:
    add = _adder(group, common)
    apply = add(
        "apply", verbs.policy_apply, "make a bundle live, if asked only until it is confirmed"
    )
    apply.add_argument("file", metavar="FILE", help="bundle as JSON")
    apply.add_argument("--signature", type=Path, metavar="FILE", help="default: FILE.sig")
    apply.add_argument(
        "--confirm-within",
        type=_seconds,
        default=0,
        metavar="SECONDS",
        help=f"take it back unless confirmed ({MIN_CONFIRM_S}-{MAX_CONFIRM_S}; default: keep it)",
    )
    apply.add_argument("--dry-run", action="store_true", help="say what would be done")
    confirm = add("confirm", verbs.policy_confirm, "keep the pending change")
    confirm.add_argument("id", metavar="ID")
    confirm.add_argument("--token", required=True)
    add("revert", verbs.policy_revert, "take the pending change back now")
    listing = add("list", verbs.policy_list, "the live rules with their hits and sources")
    listing.add_argument("--local", action="store_true", help="only this host's temporary rules")
    staged.add_verbs(add, _seconds)
    authoring.add_verbs(add)
    answers.add_verbs(add)
    local.add_verbs(add)
    imports.add_verb(add)


def _add_events(group: Verbs, common: argparse.ArgumentParser) -> None:
    add = _adder(group, common)
    follow = add(
        "follow", events.event_follow, "print decisions as they are made, one a line (--json: too)"
    )
    follow.add_argument(
        "--reason",
        type=_reason,
        nargs="+",
        action="extend",
        default=[],
        metavar="REASON",
        help="these alone, told or not (docs/reasons.md); every packet of a flow: session",
    )
    follow.add_argument("--seconds", type=_positive, metavar="N", help="end after that time")
    follow.add_argument("--limit", type=_positive, metavar="N", help="end after so many events")
    follow.add_argument(
        "--backlog", action="store_true", help="first what was told before and nobody took"
    )
    add("sums", events.event_sums, "decisions that were not sent one by one, summed")


def _group(verb: Verbs, name: str, text: str) -> Verbs:
    return verb.add_parser(name, help=text, description=text).add_subparsers(
        required=True, metavar="VERB"
    )


def _adder(verb: Verbs, common: argparse.ArgumentParser) -> Adder:
    """A function that adds one verb: name, what runs it, its one line of help."""

    def add(name: str, run: object, text: str) -> argparse.ArgumentParser:
        added = verb.add_parser(name, parents=[common], help=text, description=text)
        added.set_defaults(verb=run)
        return added

    return add


def _reason(text: str) -> Reason:
    try:
        return parse_reason(text)
    except ValueError as exc:
        raise argparse.ArgumentTypeError(str(exc)) from None


def _positive(text: str) -> int:
    if not text.isdigit() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)


def _seconds(text: str) -> int:
    value = int(text) if text.isdigit() else -1
    if not MIN_CONFIRM_S <= value <= MAX_CONFIRM_S:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a number of seconds from {MIN_CONFIRM_S} to {MAX_CONFIRM_S}"
        )
    return value


if __name__ == "__main__":
    sys.exit(main())
