"""What people write on the command line, read: each function is an argparse type and says what is allowed."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from tcmicro_agent.abi import Reason
from tcmicro_agent.events import parse_reason
from tcmicro_agent.evidence import Requirement

Adder = Callable[[str, object, str], argparse.ArgumentParser]
MIN_CONFIRM_S, MAX_CONFIRM_S = 5, 86400


def examples(parser: argparse.ArgumentParser, text: str) -> None:
    """The end of a verb's help, as it is written."""
    parser.epilog, parser.formatter_class = text, argparse.RawDescriptionHelpFormatter


def add_watch(parser: argparse.ArgumentParser) -> None:
    """Once more every N seconds, until somebody ends it."""
    parser.add_argument(
        "--watch",
        nargs="?",
        type=positive,
        const=2,
        metavar="N",
        help="again every N seconds (2), until Ctrl-C",
    )


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


def positive(text: str) -> int:
    if not text.isdigit() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)


def reason(text: str) -> Reason:
    try:
        return parse_reason(text)
    except ValueError as exc:
        raise argparse.ArgumentTypeError(str(exc)) from None


def confirm_seconds(text: str) -> int:
    value = int(text) if text.isdigit() else -1
    if not MIN_CONFIRM_S <= value <= MAX_CONFIRM_S:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a number of seconds from {MIN_CONFIRM_S} to {MAX_CONFIRM_S}"
        )
    return value


def port(text: str) -> int:
    value = int(text) if text.isdigit() else -1
    if not 0 <= value <= 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port (0-65535)")
    return value


def _epoch(text: str) -> int:
    if not text.isdigit():
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number")
    return int(text)
