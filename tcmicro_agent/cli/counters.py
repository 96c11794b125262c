"""What was counted: `tc-micro policy list`, `tc-micro rule hits` and `tc-micro stats show`."""

from __future__ import annotations

import argparse
from typing import Any

from tcmicro_agent import listing
from tcmicro_agent.cli import verbs, watch
from tcmicro_agent.cli.arguments import Adder, add_watch, examples
from tcmicro_agent.cli.local import list_text
from tcmicro_agent.cli.table import table
from tcmicro_agent.documents import document
from tcmicro_agent.reconcile import Agent

STATS_EXAMPLES = """Reasons are explained in docs/reasons.md. With --watch and -o json or jsonl: one document a line.

examples:
  tc-micro stats show
  tc-micro stats show --watch 5
  tc-micro stats show --watch 1 -o jsonl | jq '.counters[] | select(.verdict == "deny")'
"""
HITS_EXAMPLES = """A hit is a new flow that a rule decided, or a packet that it refused; packets of a tracked flow are
none. They count from when the datapath was loaded or the rule first came to this host, whichever
was later; a rule keeps its hits over generations. A rule without hits may be needed once a year:
look at --unused before it, then decide.

examples:
  tc-micro rule hits
  tc-micro rule hits --watch
  tc-micro rule hits --unused -o jsonl | jq -r .source
"""


def add_policy_verbs(add: Adder) -> None:
    rules = add("list", policy_list, "the live rules with their hits and sources")
    rules.add_argument("--local", action="store_true", help="only this host's temporary rules")


def add_stats_verbs(add: Adder) -> None:
    show = add("show", stats_show, "packets and bytes by direction and reason")
    examples(show, STATS_EXAMPLES)
    add_watch(show)


def add_rule_verbs(add: Adder) -> None:
    hits = add("hits", rule_hits, "the live rules, most used first")
    examples(hits, HITS_EXAMPLES)
    hits.add_argument("--unused", action="store_true", help="only rules that never decided")
    add_watch(hits)


def policy_list(args: argparse.Namespace) -> verbs.Result:
    found = listing.policy(verbs.agent())
    return {**found, "rules": []} if args.local else found, 0


def stats_show(args: argparse.Namespace) -> verbs.Result:
    here = verbs.agent()
    return watch.watched(args, lambda: listing.stats(here), "counters", "packets")


def rule_hits(args: argparse.Namespace) -> verbs.Result:
    here = verbs.agent()
    return watch.watched(args, lambda: hits(here, unused=args.unused), "rules", "hits")


def hits(agent: Agent, *, unused: bool) -> dict[str, Any]:
    """RuleHits: the rules as PolicyList has them, and this host's own, sorted. Defaults are never unused."""
    found = listing.policy(agent)
    local = [
        {
            "rule": f"local/{rule['id']}",
            "direction": rule["direction"],
            "action": rule["action"],
            "peers": [rule["peer"]],
            "services": [rule["service"]],
            "source": rule["comment"],
            "hits": rule["hits"],
        }
        for rule in found["local"]
    ]
    rows = sorted([*local, *found["rules"]], key=lambda row: (-row["hits"], row["rule"]))
    never = [r for r in rows if not r["hits"] and not r["rule"].startswith("default/")]
    return document(
        "RuleHits",
        generation=found["generation"],
        rules=never if unused else rows,
        total=len(rows),
        unused=len(never),
    )


def rules_text(doc: dict[str, Any]) -> str:
    rows = [
        (
            r["direction"],
            r["action"],
            ",".join(r["peers"]),
            ",".join(r["services"]),
            r["hits"],
            r["rule"],
            r["source"],
        )
        for r in doc["rules"]
    ]
    listed = table(("DIRECTION", "ACTION", "PEERS", "SERVICES", "HITS", "RULE", "SOURCE"), rows)
    if not doc["local"]:
        return listed
    temporary = list_text(doc["local"])
    return f"{temporary}\n\n{listed}" if rows else temporary


def hits_text(doc: dict[str, Any]) -> str:
    rates = any("hits_per_s" in row for row in doc["rules"])
    rows = [
        (
            row["hits"],
            *((row["hits_per_s"],) if rates else ()),
            row["direction"],
            row["action"],
            ",".join(row["peers"]),
            ",".join(row["services"]),
            row["rule"],
            row["source"],
        )
        for row in doc["rules"]
    ]
    header = ("HITS", *(("/S",) if rates else ()), "DIRECTION", "ACTION", "PEERS", "SERVICES")
    shown = f"{doc['unused']} of {doc['total']} never decided anything, in generation {doc['generation']}"
    return f"{table((*header, 'RULE', 'SOURCE'), rows)}\n{shown}"
