"""The verb that asks what becomes of a flow on this host: `tc-micro explain SRC DST:PORT/PROTO`."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

from tcmicro_agent import explanation, question, release
from tcmicro_agent.cli import verbs
from tcmicro_agent.datapath import host

Adder = Callable[[str, object, str], argparse.ArgumentParser]
FAILED, UNDECIDABLE = 1, 4
REBUILD = (
    "a running agent builds it anew within half a minute; if it does not: "
    "systemctl stop tcmicro-agent; tc-micro detach; systemctl start tcmicro-agent (nothing is enforced in between)"
)
EXAMPLES = """The kernel is asked what its live policy says of a new flow; no session, counter or event comes of it.
Its answer is compared with what the bundle means. One side is this host: self, or an address of it.

examples:
  tc-micro explain 10.0.1.7 self:5432/tcp          # may they call us?
  tc-micro explain self 10.0.2.1:443/tcp           # may we call them?
  tc-micro explain self [fd00::53]:53/udp
  tc-micro explain 10.0.1.7 self/icmp --json | jq -r .rule

exit codes:
  0 allowed   3 denied (by a policy in mode monitor: it passes all the same)   1 kernel and bundle disagree
  4 the bundle is not kept any more: nothing to compare with   6 not a flow of this host
"""


def add_verb(add: Adder) -> None:
    explain = add(
        "explain", ask, "may this flow be opened, and which rule says so? asks the kernel"
    )
    explain.epilog, explain.formatter_class = EXAMPLES, argparse.RawDescriptionHelpFormatter
    explain.add_argument("source", metavar="SRC", help="who opens it: self or an address")
    explain.add_argument(
        "target", metavar="DST:PORT/PROTO", help="tcp, udp, sctp; DST/icmp; DST/47"
    )


def ask(args: argparse.Namespace) -> verbs.Result:
    asked = question.read(args.source, args.target, host.is_own)
    here = verbs.agent()
    found = explanation.explain(here, here.store.config(), release.ROOT, asked)
    return found, _code(found)


def _code(found: dict[str, Any]) -> int:
    if found["agrees"] is None:
        return UNDECIDABLE
    if not found["agrees"]:
        return FAILED
    return 0 if found["verdict"] == "allow" else verbs.NEGATIVE


def text(doc: dict[str, Any]) -> str:
    """Like a sentence first, then why."""
    lines = [_sentence(doc), f"  by         {_why(doc)}", f"  under      {_under(doc)}"]
    if doc["agrees"] is None:
        lines.append(
            "  UNCHECKED: the bundle is not kept here any more, so only the kernel was asked"
        )
    elif not doc["agrees"]:
        lines.insert(
            0, "THE KERNEL AND THE BUNDLE DISAGREE: the policy is not enforced as written."
        )
        said = "allowed" if doc["model"]["verdict"] == "allow" else "denied"
        lines.append(f"  the bundle says {said}, by {_why(doc['model'])}")
        lines.append(f"  {REBUILD}")
    if doc["staged_share"]:
        share = doc["staged_share"]
        lines.append(
            f"  {share} % of new flows are judged by the staged policy instead (policy differences)"
        )
    return "\n".join(lines)


def _sentence(doc: dict[str, Any]) -> str:
    service = f"{doc['protocol']}/{doc['port']}" if doc["port"] else doc["protocol"]
    peer = f"{doc['address']} ({doc['peer']})"
    ends = f"{peer} -> self" if doc["direction"] == "ingress" else f"self -> {peer}"
    verdict = "ALLOWED" if doc["verdict"] == "allow" else "DENIED"
    passes = ", passes all the same" if doc["passes"] and verdict == "DENIED" else ""
    return f"{verdict}{passes}  {ends} {service}"


def _why(side: dict[str, Any]) -> str:
    rule = f": {side['rule']}" if side["rule"] else ""
    return f"{side['reason']}{rule}" + (f"  {side['source']}" if side["source"] else "")


def _under(doc: dict[str, Any]) -> str:
    if doc["state"] == "none":
        return "no policy: nothing is enforced"
    audited = ", this policy in monitor" if doc["audited"] else ""
    head = f"generation {doc['generation']} ({doc['digest'][:12]})"
    return f"{head}, {doc['mode']}{audited}, {doc['state']}"
