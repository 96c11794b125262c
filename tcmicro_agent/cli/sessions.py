"""The verbs about tracked flows: `tc-micro session list|count|flush|kill`."""

from __future__ import annotations

import argparse
from ipaddress import ip_network
from typing import Any

from tcmicro_agent import census, ending, listing
from tcmicro_agent.abi import SessionState
from tcmicro_agent.cli import session_text, verbs
from tcmicro_agent.cli.arguments import Adder, examples, port, positive
from tcmicro_agent.cli.table import table
from tcmicro_agent.documents import document
from tcmicro_agent.errors import RefusedError
from tcmicro_agent.sessions import Query

STATES = tuple(state.name.lower() for state in SessionState)
NUMBERS = {name: number for number, name in listing.PROTOCOLS.items()}
LIST_EXAMPLES = """Filters that are given together must all hold; --port is that of either side.

examples:
  tc-micro session list --peer 10.0.1.0/24 --port 5432
  tc-micro session list --state established -o jsonl | jq -r .remote | sort | uniq -c
"""
COUNT_EXAMPLES = """By port: that of the service, so of this host where the peer called, else of the peer.

examples:
  tc-micro session count
  tc-micro session count --by peer --port 5432 --limit 10
"""
FLUSH_EXAMPLES = """Flush forgets: connections stay open, and their next packet is judged as a new flow is. To end them:
kill.

examples:
  tc-micro session flush --peer 203.0.113.7
"""
KILL_EXAMPLES = """Kill ends: this host's socket of each TCP flow is destroyed by the kernel (both ends are told, by a
reset), then its entry is deleted; whoever wants it back must open a new connection, which is judged
as one. Without a socket of this host (UDP, forwarded flows, sockets in containers) only the entry
can go, as with flush: the answer counts them. It needs CONFIG_INET_DIAG_DESTROY; where the kernel
has none, nothing is changed.

examples:
  tc-micro session kill --peer 203.0.113.7 --dry-run
  tc-micro session kill --peer 203.0.113.0/24 --protocol tcp
  tc-micro session kill --all

exit codes:
  0 done   2 no filter and no --all   3 this kernel destroys no sockets, nothing changed
"""


def add_verbs(add: Adder) -> None:
    listing_ = add("list", session_list, "tracked flows, all or those asked for")
    listing_.add_argument("--limit", type=int, default=1000, metavar="N")
    count = add("count", session_count, "how many flows are tracked, in all or by what they share")
    count.add_argument("--by", choices=census.KINDS, help="one line for each, the most first")
    count.add_argument("--limit", type=positive, default=100, metavar="N", help="lines (100)")
    flush = add("flush", session_flush, "forget flows: their next packet is a new decision")
    kill = add("kill", session_kill, "end flows: destroy their TCP sockets here and forget them")
    kill.add_argument("--all", action="store_true", help="every flow; this connection too")
    kill.add_argument("--dry-run", action="store_true", help="say how many")
    texts = (LIST_EXAMPLES, COUNT_EXAMPLES, FLUSH_EXAMPLES, KILL_EXAMPLES)
    for verb, text in zip((listing_, count, flush, kill), texts):
        examples(verb, text)
        verb.add_argument("--peer", type=ip_network, metavar="ADDRESS", help="or network")
        verb.add_argument("--port", type=port, metavar="N", help="of either side")
        verb.add_argument("--protocol", choices=tuple(NUMBERS))
        verb.add_argument("--state", choices=STATES)


def session_list(args: argparse.Namespace) -> verbs.Result:
    form = "json" if args.json and args.output == "table" else args.output
    if form not in session_text.FORMS:  # that is written as a whole
        return listing.sessions(verbs.agent(), _query(args), limit=args.limit), 0
    session_text.write(verbs.agent(), _query(args), args.limit, form)
    return {}, 0


def session_count(args: argparse.Namespace) -> verbs.Result:
    return census.document(verbs.agent(), _query(args), args.by, args.limit), 0


def session_flush(args: argparse.Namespace) -> verbs.Result:
    sessions, query = verbs.agent().kernel.sessions, _query(args)
    gone = sum(sessions.delete(chunk, query.select(chunk)) for chunk in sessions.chunks())
    done = [f"{gone} sessions forgotten"] if gone else []
    return document("SessionFlush", changed=bool(gone), sessions=gone, done=done), 0


def session_kill(args: argparse.Namespace) -> verbs.Result:
    query = _query(args)
    if query == Query() and not args.all:
        raise NoFilterError("session kill: no filter is given", hint="for every flow: --all")
    done = ending.end(verbs.agent().kernel, query, dry_run=args.dry_run)
    return document("SessionKill", dry_run=args.dry_run, **done), 0


class NoFilterError(RefusedError):
    """Everything was asked for, and perhaps not meant."""

    exit_code = 2


def _query(args: argparse.Namespace) -> Query:
    return Query(
        peer=args.peer,
        port=args.port,
        protocol=NUMBERS[args.protocol] if args.protocol else None,
        state=SessionState[args.state.upper()] if args.state else None,
    )


def count_text(doc: dict[str, Any]) -> str:
    total = f"{doc['matching']} sessions asked for, {doc['total']} in all"
    if not doc["by"]:
        return total
    rows = [(group["sessions"], group["name"]) for group in doc["groups"]]
    more = doc["kinds"] - len(rows)
    rest = f"\n{more} more lines (--limit)" if more else ""
    return f"{table(('SESSIONS', doc['by'].upper()), rows)}{rest}\n{total}"


def kill_text(doc: dict[str, Any]) -> str:
    if not doc["sessions"]:
        return "no such session: nothing to do"
    if doc["dry_run"]:
        return f"{doc['sessions']} sessions would be ended, {doc['tcp']} of them TCP"
    lines = [f"{doc['sockets']} TCP sockets destroyed, {doc['sessions']} sessions forgotten"]
    if doc["without_socket"]:
        lines.append(
            f"{doc['without_socket']} had no socket of this host that could be destroyed: "
            "their next packet is judged anew"
        )
    return "\n".join(lines)
