"""`tc-micro policy graph`: who reaches whom, group by group."""

from __future__ import annotations

import argparse
import gc
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from tcmicro_agent.cli.answers_output import add_inventory, answer, examples
from tcmicro_agent.cli.answers_source import load
from tcmicro_agent.cli.results import Result
from tcmicro_agent.documents import document
from tcmicro_agent.errors import PolicyError
from tcmicro_agent.jsonutil import did_you_mean, show

if TYPE_CHECKING:
    from tcmicro_agent.policy.inventory import Inventory

Adder = Callable[[str, object, str], argparse.ArgumentParser]
FORMS = ("dot", "svg", "mermaid", "json")
EXAMPLES = """Groups are the distinct sets of Ansible groups that hosts are in. Drawings leave out what the
world may open anyway and that a group may open anything to the outside, and say so; json has every edge.

exit codes: 0 done   6 invalid input

examples:
  tc-micro policy graph -i inventories/prod -o svg > reach.svg
  tc-micro policy graph -i inventories/prod -o dot | dot -Tpdf > reach.pdf
  tc-micro policy graph -i inventories/prod -o json | jq '.edges[] | select(.to == "db")'
"""


def add_verbs(add: Adder) -> None:
    graph = add("graph", policy_graph, "who reaches whom, group by group, as a drawing")
    examples(graph, EXAMPLES)
    graph.add_argument(
        *("-o", "--output"), choices=FORMS, default="dot", help="default: dot (Graphviz)"
    )
    graph.add_argument(
        "--group",
        action="append",
        default=[],
        metavar="GROUP",
        help="only what has an end in that group; may be repeated",
    )
    add_inventory(graph, policies=True)


def policy_graph(args: argparse.Namespace) -> Result:
    from tcmicro_agent.policy.difference.timeline import at_time
    from tcmicro_agent.policy.picture import dot
    from tcmicro_agent.policy.picture.graph import Graph, around, graph
    from tcmicro_agent.policy.picture.svg import svg
    from tcmicro_agent.policy.resolve import resolve

    gc.disable()  # a fleet's bundles make millions of objects, none of them garbage before the end
    here = load(args)
    bundles = at_time(resolve(here.policies, here.inventory), args.at or time.time())
    found = graph(bundles, here.inventory)
    if args.group:
        _refuse_unknown(args.group, here.inventory)
        found = around(found, args.group)
    args.json = args.json or args.output == "json"
    forms: dict[str, Callable[[Graph], str]] = {"dot": dot.dot, "svg": svg, "mermaid": dot.mermaid}
    if args.json:
        return document("PolicyGraph", **dot.document(found)), 0
    return answer(args, {}, forms[args.output](found).rstrip("\n"), 0)


def _refuse_unknown(groups: Sequence[str], inventory: Inventory) -> None:
    known = sorted({group for host in inventory.hosts.values() for group in host.groups})
    unknown = [group for group in groups if group not in known]
    if unknown:
        raise PolicyError(
            [f"no host is in group {show(group)}{did_you_mean(group, known)}" for group in unknown]
        )
