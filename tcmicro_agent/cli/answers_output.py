"""How answers are asked for and shown: the inventory, the time, colours on a terminal."""

from __future__ import annotations

import argparse
import os
import re
import sys
from pathlib import Path
from typing import Any

from tcmicro_agent.cli.results import Result
from tcmicro_agent.policy.windows import instant

COLOURS = (
    (re.compile(r"^(?:\+ .*|ALLOWED|ok)\b", re.MULTILINE), "\x1b[32m"),
    (re.compile(r"^(?:- .*|DENIED|FAILED)\b", re.MULTILINE), "\x1b[31m"),
    (re.compile(r"^(?:~ .*|WOULD BE DENIED|UNDECIDABLE)\b", re.MULTILINE), "\x1b[33m"),
    (re.compile(r"(?<=  )(?:ALLOWED)(?=  )"), "\x1b[32m"),
    (re.compile(r"(?<=  )(?:DENIED)(?=  )"), "\x1b[31m"),
)
RESET = "\x1b[0m"


def add_inventory(parser: argparse.ArgumentParser, *, policies: bool = False) -> None:
    """Which hosts, and at what time; with `policies` also -p for the files."""
    if policies:
        parser.add_argument(
            *("-p", "--policies"),
            action="append",
            type=Path,
            default=[],
            metavar="PATH",
            help="files or directories (default: policies/ beside the inventory); may be repeated",
        )
    parser.add_argument(
        *("-i", "--inventory"),
        action="append",
        default=[],
        metavar="INVENTORY",
        help="as for ansible-playbook; may be repeated (default: as in ansible.cfg)",
    )
    parser.add_argument(
        "--hosts-group",
        default="tcmicro",
        metavar="GROUP",
        help="the hosts that tcmicro is on (default: tcmicro)",
    )
    parser.add_argument(
        "--at",
        type=_time,
        metavar="TIME",
        help="when: rules begin and expire (UTC, like 2026-12-24T18:00:00Z; default: now)",
    )


def examples(parser: argparse.ArgumentParser, text: str) -> None:
    parser.epilog, parser.formatter_class = text, argparse.RawDescriptionHelpFormatter


def answer(args: argparse.Namespace, doc: dict[str, Any], text: str, code: int) -> Result:
    """The document where it was asked for, else the text."""
    if args.json:
        return doc, code
    print(text)
    return {}, code


def paint(text: str) -> str:
    """With colours on a terminal, unless NO_COLOR is set."""
    if not sys.stdout.isatty() or os.environ.get("NO_COLOR"):
        return text
    for pattern, colour in COLOURS:
        text = pattern.sub(lambda found, c=colour: f"{c}{found[0]}{RESET}", text)  # type: ignore[misc]
    return text


def _time(text: str) -> int:
    try:
        return instant(text)
    except ValueError as exc:
        raise argparse.ArgumentTypeError(f"{text!r} is {exc}, as 2026-12-24T18:00:00Z is") from None
