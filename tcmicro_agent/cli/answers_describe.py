"""`tc-micro policy describe`: what a policy, or all policies on one host, come to."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

from tcmicro_agent.cli.answers_output import add_inventory, answer, examples
from tcmicro_agent.cli.answers_source import load
from tcmicro_agent.cli.results import Result
from tcmicro_agent.cli.table import table
from tcmicro_agent.documents import document
from tcmicro_agent.errors import PolicyError
from tcmicro_agent.jsonutil import did_you_mean, show

Adder = Callable[[str, object, str], argparse.ArgumentParser]
SHOWN = 4  # hosts, addresses and peers in one cell of the text; --json has all
KINDS = ("policy", "host")
EXAMPLES = """NAME is a policy or a host; where both have it, write policy:NAME or host:NAME.

exit codes: 0 done   6 invalid input, or no such name

examples:
  tc-micro policy describe db-in -i inventories/prod
  tc-micro policy describe db1 -i inventories/prod --json | jq .tables
"""


def add_verbs(add: Adder) -> None:
    describe = add("describe", policy_describe, "what a policy comes to, or all policies on a host")
    examples(describe, EXAMPLES)
    describe.add_argument("name", metavar="NAME")
    add_inventory(describe, policies=True)


def policy_describe(args: argparse.Namespace) -> Result:
    from tcmicro_agent.policy import describe

    here = load(args)
    named = {policy.name.text: policy for policy in here.policies}
    kind, name = _meant(args.name, {"policy": list(named), "host": list(here.inventory.hosts)})
    if kind == "policy":
        found = describe.describe_policy(named[name], here.policies, here.inventory)
        return answer(args, document("PolicyDescription", **found), _policy(found), 0)
    found = describe.describe_host(name, here.policies, here.inventory)
    return answer(args, document("HostDescription", **found), _host(found), 0)


def _meant(text: str, known: dict[str, list[str]]) -> tuple[str, str]:
    prefix, _, rest = text.partition(":")
    kinds, name = ([prefix], rest) if prefix in KINDS and rest else (list(KINDS), text)
    found = [kind for kind in kinds if name in known[kind]]
    if len(found) == 1:
        return found[0], name
    if found:
        raise PolicyError(
            [f"{show(name)} is a policy and a host; write policy:{name} or host:{name}"]
        )
    hint = did_you_mean(name, sorted(word for kind in kinds for word in known[kind]))
    raise PolicyError([f"there is no {' and no '.join(kinds)} {show(name)}{hint}"])


def _policy(doc: dict[str, Any]) -> str:
    defaults = ", ".join(f"{way} {action}" for way, action in doc["default"].items())
    hosts = doc["applies_to"]
    rows = [
        ("policy", f"{doc['name']}  {doc['source']}"),
        ("description", doc["description"]),
        ("owner", doc["owner"]),
        ("tier, mode", f"{doc['tier']}, {doc['mode']}"),
        ("default", defaults),
        ("applies to", f"{len(hosts['hosts'])} hosts: {hosts['name']}"),
        ("beside", ", ".join(doc["beside"])),
    ]
    return _text(rows, doc)


def _host(doc: dict[str, Any]) -> str:
    defaults = ", ".join(
        f"{way} {_action(found, doc)}" + (f" ({found['policy']})" if found["policy"] else "")
        for way, found in doc["default"].items()
    )
    rows = [
        ("host", doc["name"]),
        ("groups", ", ".join(doc["groups"])),
        ("labels", ", ".join(f"{key}={value}" for key, value in doc["labels"].items())),
        ("addresses", ", ".join(doc["addresses"])),
        ("policies", ", ".join(f"{p['name']} ({p['source']})" for p in doc["policies"]) or "none"),
        ("mode", doc["mode"] or "allows everything"),
        ("monitor", ", ".join(doc["monitoring"])),
        ("default", defaults),
    ]
    return _text(rows, doc)


def _text(rows: list[tuple[str, str]], doc: dict[str, Any]) -> str:
    head = "\n".join(f"{name:<12} {value}" for name, value in rows if value)
    sizes = doc["tables"]
    tables = (
        f"{sizes['hosts']} hosts, {sizes['networks']} networks, {sizes['identities']} identities, "
        f"{sizes['rules']} rules in {sizes['entries']} entries"
    )
    parts = [f"{head}\n{'tables':<12} {tables}"]
    parts += [_rules(doc)] * bool(doc["rules"])
    parts += [_identities(doc["identities"])] * bool(doc["identities"])
    return "\n\n".join(parts)


def _action(item: dict[str, Any], doc: dict[str, Any]) -> str:
    """Of a rule or default, with its mode where that is not the host's."""
    differs = item["action"] == "deny" and item["mode"] != doc["mode"]
    return f"{item['action']} ({item['mode']})" if differs else str(item["action"])


def _rules(doc: dict[str, Any]) -> str:
    rows = [
        (
            r["direction"],
            _action(r, doc),
            _some(r["peers"]),
            _some(r["services"]),
            r["rule"],
            r["source"],
            r["window"],
        )
        for r in doc["rules"]
    ]
    header = ("DIRECTION", "ACTION", "PEERS", "SERVICES", "RULE", "SOURCE", "")
    return table(header, rows)


def _identities(identities: list[dict[str, Any]]) -> str:
    rows = [(i["number"], i["name"], _some(i["addresses"]) or "-") for i in identities]
    return table(("IDENTITY", "NAME", "ADDRESSES"), rows)


def _some(items: list[str]) -> str:
    more = len(items) - SHOWN
    return ", ".join(items[:SHOWN]) + (f" and {more} more" if more > 0 else "")
