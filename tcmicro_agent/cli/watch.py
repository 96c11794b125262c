"""The same again every few seconds, with what changed a second."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

from tcmicro_agent.cli import formats, output
from tcmicro_agent.cli.verbs import Result

CLEAR = "\033[H\033[2J"  # cursor to the upper left, everything erased
Document = dict[str, Any]


def watched(args: argparse.Namespace, make: Callable[[], Document], rows: str, of: str) -> Result:
    """The document once, or with --watch for ever: each later one has in its `rows` how much `of` grew a second."""
    if not args.watch:
        return make(), 0
    before, then = make(), time.monotonic()
    _show(args, before)
    while True:
        time.sleep(args.watch)
        found, now = make(), time.monotonic()
        _show(args, {**found, rows: with_rates(before[rows], found[rows], of, now - then)})
        before, then = found, now


def with_rates(
    before: Sequence[Document], after: Sequence[Document], of: str, seconds: float
) -> list[Document]:
    """The rows of `after` with `<of>_per_s`. Rows are the same that say the same besides numbers."""
    known = {_name(row): row[of] for row in before}
    return [
        {**row, f"{of}_per_s": _rate(row[of], known.get(_name(row), 0), seconds)} for row in after
    ]


def _rate(after: int, before: int, seconds: float) -> float:
    """Counters that began anew did not run backwards."""
    return round(max(after - before, 0) / max(seconds, 0.001), 1)


def _name(row: Document) -> tuple[str, ...]:
    return tuple(str(value) for value in row.values() if not isinstance(value, (int, float)))


def _show(args: argparse.Namespace, found: Document) -> None:
    if args.json:
        form = "yaml" if args.output == "yaml" else "jsonl"
        print(formats.streamed(found, form), flush=True)
        return
    clear = CLEAR if sys.stdout.isatty() else ""
    head = f"every {args.watch} s, {time.strftime('%H:%M:%S')}, Ctrl-C ends it"
    print(f"{clear}{head}\n{output.for_eyes(found)}\n", flush=True)
