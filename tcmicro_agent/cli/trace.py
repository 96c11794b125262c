"""The verbs that look into the kernel: `tc-micro trace flows|latency|drops`. Each ends by itself."""

from __future__ import annotations

import argparse
import os
import pwd
import sys
import time
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from tcmicro_agent import documents, histogram, preflight, release, tracing
from tcmicro_agent.cli import formats
from tcmicro_agent.cli.arguments import Adder, examples, positive
from tcmicro_agent.cli.events import end_by_signal
from tcmicro_agent.cli.table import columns, table
from tcmicro_agent.cli.verbs import Result, agent
from tcmicro_agent.datapath.latency import Latency
from tcmicro_agent.errors import RefusedError

POLL_MS = 200
WIDTHS = (8, 8, 10, 16, 11, 24, 2)
HEADER = ("TIME", "PID", "USER", "PROCESS", "OUTCOME", "LOCAL", "", "REMOTE")
OURS = {"tc_ingress", "tc_egress"}  # where a program or filter on tc said so: perhaps ours
NEEDS = "It needs bcc (Debian: python3-bpfcc) and the headers of the running kernel; what lacks is named."
CODES = """exit codes:
  0 its time is over   3 what it needs is not here; named for this kernel
"""
FLOWS_EXAMPLES = f"""Every new TCP flow of this machine with the process that opens it, or, where a peer calls, the one
that listens.
{NEEDS}

examples:
  tc-micro trace flows --seconds 60
  tc-micro trace flows -o jsonl | jq -r 'select(.remote_port == 5432) | .process'

{CODES}"""
LATENCY_EXAMPLES = """Run times of each of our programs as a histogram, measured around it; measuring costs some 20 ns
itself. Where the kernel lets nobody look at a program (no BTF, no JIT, forbidden), the mean that it
measures itself, and why. It needs no bcc.

examples:
  tc-micro trace latency --seconds 10

exit codes:
  0 its time is over   1 the datapath is not loaded   3 this kernel can do neither
"""
DROPS_EXAMPLES = f"""Packets that the kernel itself drops, by its reason (Linux 5.17) and by the function that did.
What tc-micro drops is among them as tc_ingress and tc_egress, like drops by filters of others:
tc-micro stats show has ours by reason.
{NEEDS}

examples:
  tc-micro trace drops --seconds 30
  tc-micro trace drops -o json | jq '.drops[] | select(.reason == "no_socket")'

{CODES}"""


def add_verbs(add: Adder) -> None:
    flows = add("flows", trace_flows, "new TCP flows by process (bcc)")
    flows.add_argument("--limit", type=positive, metavar="N", help="end after so many flows")
    latency = add("latency", trace_latency, "how long our programs run")
    drops = add("drops", trace_drops, "what the kernel drops, where and why (bcc)")
    for verb, text in zip(
        (flows, latency, drops), (FLOWS_EXAMPLES, LATENCY_EXAMPLES, DROPS_EXAMPLES)
    ):
        examples(verb, text)
        verb.add_argument(
            "--seconds", type=positive, default=10, metavar="N", help="ends then (10)"
        )


def trace_flows(args: argparse.Namespace) -> Result:
    """Prints as it goes, as event follow does."""
    _need_root()
    end_by_signal()
    form = "json" if args.json and args.output == "table" else args.output
    flows = tracing.Flows(release.ROOT / "trace")
    _say_begin(args.seconds)
    if form == "table":
        print(columns(HEADER, WIDTHS), flush=True)
    for document in _documents(flows, args.seconds, args.limit):
        shown = _line(document) if form == "table" else formats.streamed(document, form)
        print(shown, flush=True)
    if lost := flows.lost():
        print(f"tc-micro: {lost} flows came faster than they were read", file=sys.stderr)
    return {}, 0


def _documents(flows: tracing.Flows, seconds: int, limit: int | None) -> Iterator[dict[str, Any]]:
    boot_ns = time.time_ns() - time.clock_gettime_ns(time.CLOCK_MONOTONIC)
    end, shown = time.monotonic() + seconds, 0
    while time.monotonic() < end:
        for flow in flows.take(POLL_MS):
            yield flow_document(flow, boot_ns)
            shown += 1
            if shown == limit:
                return


def flow_document(flow: tracing.Flow, boot_ns: int) -> dict[str, Any]:
    """`process`: who opened it, or who listens (`pid` null: a peer opened it)."""
    process = _listener(flow.local_port) if flow.called else flow.comm
    return documents.document(
        "TracedFlow",
        time=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime((boot_ns + flow.boot_ns) / 1e9)),
        direction="ingress" if flow.called else "egress",
        outcome="failed" if flow.failed else "established",
        protocol="tcp",
        local=flow.local,
        local_port=flow.local_port,
        remote=flow.remote,
        remote_port=flow.remote_port,
        pid=None if flow.called else flow.pid,
        user=None if flow.called else _user(flow.uid),
        process=process,
    )


@lru_cache(maxsize=256)
def _listener(port: int) -> str:
    """The process that listens on a port here, as preflight finds it; "" where none does that we can see."""
    owner = preflight.port_owner(port)
    return owner[len("taken by ") :].partition(" (pid")[0] if "(pid" in owner else ""


@lru_cache(maxsize=256)
def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _line(doc: dict[str, Any]) -> str:
    arrow = "<-" if doc["direction"] == "ingress" else "->"
    who = (doc["pid"] or "-", doc["user"] or "-", doc["process"] or "-", doc["outcome"])
    ends = (_end(doc, "local"), arrow, _end(doc, "remote"))
    return columns((doc["time"][11:19], *who, *ends), WIDTHS)


def _end(doc: dict[str, Any], side: str) -> str:
    address, port = doc[side], doc[f"{side}_port"]
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def trace_latency(args: argparse.Namespace) -> Result:
    here = agent()
    end_by_signal()
    with Latency(here.kernel, release.ROOT / "trace/latency.bpf.o") as latency:
        time.sleep(args.seconds)
        found = latency.read()
    programs = [{"program": name, **each} for name, each in found.items()]
    only_means = latency.refused
    said = {"seconds": args.seconds, "only_means_because": only_means, "programs": programs}
    return documents.document("TraceLatency", **said), 0


def latency_text(doc: dict[str, Any]) -> str:
    parts = [f"only means: {doc['only_means_because']}"] if doc["only_means_because"] else []
    for row in doc["programs"]:
        if not row["runs"]:
            parts.append(f"{row['program']}: did not run in {doc['seconds']} s")
            continue
        head = (
            f"{row['program']}: {row['runs']} runs in {doc['seconds']} s, mean {row['mean_ns']} ns"
        )
        if not row["histogram"]:
            parts.append(head)
            continue
        tail = f"half below {row['p50_ns']} ns, 99 % below {row['p99_ns']} ns"
        parts.append("\n".join([f"{head}, {tail}", *histogram.lines(row["histogram"])]))
    return "\n\n".join(parts)


def trace_drops(args: argparse.Namespace) -> Result:
    _need_root()
    end_by_signal()
    drops = tracing.Drops(release.ROOT / "trace")
    _say_begin(args.seconds)
    time.sleep(args.seconds)
    found = drops.read()
    rows = [{**vars(drop), "by_tc": drop.reason in OURS} for drop in found]
    return documents.document("TraceDrops", seconds=args.seconds, drops=rows), 0


def drops_text(doc: dict[str, Any]) -> str:
    rows = [
        (row["packets"], row["reason"] or "-", row["place"], f"0x{row['protocol']:04x}")
        for row in doc["drops"]
    ]
    total = f"{sum(row[0] for row in rows)} packets in {doc['seconds']} s"
    if any(row["by_tc"] for row in doc["drops"]):
        total += "; those by a program or filter on tc, ours by reason: tc-micro stats show"
    return f"{table(('PACKETS', 'REASON', 'WHERE', 'ETHERTYPE'), rows)}\n{total}"


def _say_begin(seconds: int) -> None:
    """What bcc compiles takes a second or two; from now on nothing is missed."""
    print(f"tc-micro: tracing for {seconds} s", file=sys.stderr, flush=True)


def _need_root() -> None:
    if os.geteuid() != 0:
        raise RefusedError("this needs root", hint="run it with sudo")
