"""The verbs about tracked flows: `tc-micro session list|flush`."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from ipaddress import ip_network

from tcmicro_agent import listing, report
from tcmicro_agent.abi import SessionState
from tcmicro_agent.cli import verbs
from tcmicro_agent.sessions import Query

Adder = Callable[[str, object, str], argparse.ArgumentParser]
STATES = tuple(state.name.lower() for state in SessionState)
NUMBERS = {name: number for number, name in listing.PROTOCOLS.items()}


def add_verbs(add: Adder) -> None:
    listing = add("list", session_list, "tracked flows, all or those asked for")
    listing.add_argument("--limit", type=int, default=1000, metavar="N")
    flush = add("flush", session_flush, "forget flows: their next packet is a new decision")
    for verb in (listing, flush):
        verb.add_argument("--peer", type=ip_network, metavar="ADDRESS", help="or network")
        verb.add_argument("--port", type=_port, metavar="N", help="of either side")
        verb.add_argument("--protocol", choices=tuple(NUMBERS))
        verb.add_argument("--state", choices=STATES)


def session_list(args: argparse.Namespace) -> verbs.Result:
    return listing.sessions(verbs.agent(), _query(args), limit=args.limit), 0


def session_flush(args: argparse.Namespace) -> verbs.Result:
    sessions, query = verbs.agent().kernel.sessions, _query(args)
    gone = sum(sessions.delete(chunk, query.select(chunk)) for chunk in sessions.chunks())
    done = [f"{gone} sessions forgotten"] if gone else []
    return report.document("SessionFlush", changed=bool(gone), sessions=gone, done=done), 0


def _query(args: argparse.Namespace) -> Query:
    return Query(
        peer=args.peer,
        port=args.port,
        protocol=NUMBERS[args.protocol] if args.protocol else None,
        state=SessionState[args.state.upper()] if args.state else None,
    )


def _port(text: str) -> int:
    value = int(text) if text.isdigit() else -1
    if not 0 <= value <= 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port (0-65535)")
    return value
