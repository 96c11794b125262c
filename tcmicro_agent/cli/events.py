"""The verbs of events: what the kernel decides as it decides it, and the sums of what it could not send."""

from __future__ import annotations

import argparse
import itertools
import os
import signal
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager

from tcmicro_agent import decisions, follower
from tcmicro_agent.abi import Reason
from tcmicro_agent.cli import event_text, formats
from tcmicro_agent.cli.arguments import Adder, examples, positive, reason
from tcmicro_agent.cli.verbs import Result, agent
from tcmicro_agent.datapath.events import Ring, tell_reasons, told_reasons
from tcmicro_agent.datapath.kernel import Kernel
from tcmicro_agent.events import Event, reason_bits
from tcmicro_agent.reconcile import Agent

POLL_S = 0.1
EXAMPLES = """One follower at a time; what is over events.rate is not sent but summed: tc-micro event sums.

examples:
  tc-micro event follow --reason default_deny rule_deny
  tc-micro event follow --seconds 60 -o jsonl > decisions.jsonl

exit codes:
  0 its time or number is over   7 somebody follows already   130 ended by Ctrl-C
"""


def add_verbs(add: Adder) -> None:
    follow = add(
        "follow", event_follow, "print decisions as they are made, one a line (-o jsonl: too)"
    )
    examples(follow, EXAMPLES)
    follow.add_argument(
        "--reason",
        type=reason,
        nargs="+",
        action="extend",
        default=[],
        metavar="REASON",
        help="these alone, told or not (docs/reasons.md); every packet of a flow: session",
    )
    follow.add_argument("--seconds", type=positive, metavar="N", help="end after that time")
    follow.add_argument("--limit", type=positive, metavar="N", help="end after so many events")
    follow.add_argument(
        "--backlog", action="store_true", help="first what was told before and nobody took"
    )
    add("sums", event_sums, "decisions that were not sent one by one, summed")


def event_sums(_: argparse.Namespace) -> Result:
    return decisions.sums(agent()), 0


def event_follow(args: argparse.Namespace) -> Result:
    """Prints as it goes: a line each, or with --json a document a line."""
    here, wanted = agent(), frozenset(args.reason)
    end_by_signal()
    with follower.alone(here.store, wanted), _told(here.kernel, wanted):
        since_ns = 0 if args.backlog else here.clock.boot_ms() * 1_000_000
        with closing(Ring(here.kernel)) as ring:
            found = (
                event
                for event in _events(ring, args.seconds)
                if event.time_ns >= since_ns and (not wanted or event.reason in wanted)
            )
            _print(
                here,
                itertools.islice(found, args.limit),
                form="json" if args.json and args.output == "table" else args.output,
            )
    return {}, 0


@contextmanager
def _told(kernel: Kernel, wanted: Iterable[Reason]) -> Iterator[None]:
    """Has reasons told for the length of a `with`. A running agent agrees: it asks `follower.asked` each second."""
    before = told_reasons(kernel)
    added = reason_bits(wanted) & ~before
    tell_reasons(kernel, before | added)
    try:
        yield
    finally:
        tell_reasons(kernel, told_reasons(kernel) & ~added)


def _events(ring: Ring, seconds: float | None) -> Iterator[Event]:
    end = time.monotonic() + seconds if seconds is not None else float("inf")
    while True:
        taken = ring.take()
        yield from taken
        if time.monotonic() >= end:
            return
        if not taken:
            time.sleep(POLL_S)


def _print(here: Agent, events: Iterable[Event], *, form: str) -> None:
    generations = decisions.Generations(here)
    boot_ns = time.time_ns() - time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    colours = wants_colours(os.environ, terminal=sys.stdout.isatty())
    if form == "table":
        print(event_text.header(), flush=True)
    for event in events:
        document = decisions.event(event, generations.names(event.generation), boot_ns)
        as_line = event_text.line(document, colours=colours) if form == "table" else ""
        print(as_line or formats.streamed(document, form), flush=True)


def wants_colours(environment: Mapping[str, str], *, terminal: bool) -> bool:
    """On a terminal, unless NO_COLOR (no-color.org) says otherwise."""
    return terminal and not environment.get("NO_COLOR")


def end_by_signal() -> None:
    """A signal ends the verb as its end does: what was changed for it is put back."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _: sys.exit(128 + number))
