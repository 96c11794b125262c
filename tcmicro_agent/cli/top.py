"""A live view of what happens: `tc-micro top`."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import time
from dataclasses import replace
from typing import Any

from tcmicro_agent import live
from tcmicro_agent.cli import verbs
from tcmicro_agent.cli.arguments import Adder, examples, positive
from tcmicro_agent.cli.events import wants_colours
from tcmicro_agent.cli.screen import Screen
from tcmicro_agent.cli.top_frame import View, lines, next_sort
from tcmicro_agent.errors import TcmicroError
from tcmicro_agent.live import Live, Sample

EXAMPLES = """Packets by verdict, rules by rate, what was refused in the last minute, how full the session tables
are. While it runs it follows the events (as event follow does, one at a time); where somebody else
does, it goes on without names of peers. Keys: q quits, p pauses, s sorts the rules otherwise.

examples:
  tc-micro top
  tc-micro top --interval 5
  tc-micro top --once
  tc-micro top --once -o json | jq '.denied.peers'

exit codes:
  0 done   1 the datapath is not loaded   2 stdout is no terminal (then: --once)
"""


class NoTerminalError(TcmicroError):
    """A live view needs somebody who looks."""

    exit_code = 2


def add_verb(add: Adder) -> None:
    top = add("top", top_verb, "a live view: packets, rules, refused peers, sessions")
    examples(top, EXAMPLES)
    top.add_argument("--interval", type=positive, default=2, metavar="N", help="seconds (2)")
    top.add_argument("--once", action="store_true", help="one frame on stdout, after an interval")


def top_verb(args: argparse.Namespace) -> verbs.Result:
    here, once = verbs.agent(), args.once or args.json
    if not once and not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise NoTerminalError("top needs a terminal", hint="one frame for a file: --once")
    with live.opened(here) as source:
        if once:
            return _once(source, args.interval), 0
        _run(source, args.interval)
    return {}, 0


def text(doc: dict[str, Any]) -> str:
    colours = wants_colours(os.environ, terminal=sys.stdout.isatty())
    view = View(width=shutil.get_terminal_size((120, 0)).columns, colours=colours)
    return "\n".join(lines(doc, view, time.strftime("%H:%M:%S")))


def _once(source: Live, interval: int) -> dict[str, Any]:
    before = source.sample()
    time.sleep(interval)
    return live.document(before, source.sample())


def _run(source: Live, interval: int) -> None:
    """Until q, a signal, or the end of the input. The screen is put back whatever ends it."""
    view = View(colours=wants_colours(os.environ, terminal=True))
    with Screen() as screen:
        before = source.sample()
        now: Sample = before
        due = time.monotonic()
        while True:
            if time.monotonic() >= due and not view.paused:
                before, now = now, source.sample()
                due = time.monotonic() + interval
            width, height = screen.size()
            shown = replace(view, width=width, height=height)
            screen.draw(lines(live.document(before, now), shown, time.strftime("%H:%M:%S")))
            key = screen.key(interval if view.paused else max(due - time.monotonic(), 0))
            if key in ("q", "Q", ""):
                return
            if key == "p":
                view = replace(view, paused=not view.paused)
            elif key == "s":
                view = replace(view, sort=next_sort(view.sort))
