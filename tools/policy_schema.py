"""`make format`: write docs/schema/policy.v1.json, the JSON Schema of policy files, from the Python model.

It is for editors and for other people's CI: what it refuses, the reader refuses. The reader knows more (networks
without host bits, times that exist, names that are defined), so a file that validates may still be wrong.
"""

from __future__ import annotations

import json
import re
from dataclasses import fields
from enum import Enum
from pathlib import Path
from typing import Any

from tcmicro_agent.policy import windows
from tcmicro_agent.policy.intent import About, EndKind, Entity, Tier
from tcmicro_agent.policy.model import Action, Direction, Log, Mode
from tcmicro_agent.policy.source import document, peers, rules, words

SCHEMA = Path(__file__).resolve().parents[1] / "docs/schema/policy.v1.json"
Schema = dict[str, Any]

TEXT: Schema = {"type": "string", "minLength": 1}


def text(*patterns: str | re.Pattern[str]) -> Schema:
    """A string that is all of one of the patterns."""
    found = "|".join(p if isinstance(p, str) else p.pattern for p in patterns)
    return {"type": "string", "pattern": f"^(?:{found})$"}


def choice(kind: type[Enum], *, default: Enum | None = None) -> Schema:
    return {
        "enum": [member.value for member in kind],
        **({"default": default.value} if default else {}),
    }


def listed(items: Schema) -> Schema:
    """A list that names something, and nothing twice."""
    return {"type": "array", "items": items, "minItems": 1, "uniqueItems": True}


def record(required: dict[str, Schema], optional: dict[str, Schema] | None = None) -> Schema:
    return {
        "type": "object",
        "properties": {**required, **(optional or {})},
        "required": list(required),
        "additionalProperties": False,
    }


def ref(name: str) -> Schema:
    return {"$ref": f"#/$defs/{name}"}


def said(schema: Schema, description: str) -> Schema:
    return {**schema, "description": description}


def any_of(schema: Schema, keys: tuple[str, ...]) -> Schema:
    return {**schema, "anyOf": [{"required": [key]} for key in keys]}


ABOUT = dict.fromkeys((field.name for field in fields(About)), TEXT)
NAME = text(words.NAME)
SET = text(re.escape(words.SET) + f"(?:{words.NAME.pattern})")
CIDR = text(words.CIDR)
PORT = text("any", "icmp", words.SERVICE, words.ICMP)
TIME = text(windows.RFC3339)
HOSTS = {
    "groups": said(listed(TEXT), "in any of these groups of the inventory; `all` is every host"),
    "labels": said(
        {
            "type": "object",
            "minProperties": 1,
            "additionalProperties": {"anyOf": [TEXT, {"type": "integer"}]},
        },
        "with all of these tcmicro_labels",
    ),
    "hosts": said(listed(TEXT), "one of these hosts of the inventory"),
}


def definitions() -> dict[str, Schema]:
    return {
        "metadata": record({"name": NAME}, ABOUT),
        "ports": listed({"anyOf": [PORT, SET]}),
        "applyTo": any_of(record({}, {**HOSTS, "exceptHosts": listed(TEXT)}), peers.SELECTORS),
        "peer": {"oneOf": [_entity(), _networks(), any_of(record({}, HOSTS), peers.SELECTORS)]},
        **{f"{direction.value}Rule": _rule(direction) for direction in Direction},
        "end": {"oneOf": [record({kind.value: END[kind]}) for kind in EndKind]},
    }


END = {EndKind.HOST: TEXT, EndKind.GROUP: TEXT, EndKind.ADDRESS: text("[0-9A-Fa-f.:]+")}


def _entity() -> Schema:
    return record({"entity": choice(Entity)})


def _networks() -> Schema:
    networks = {"cidrs": listed(CIDR), "addressSets": listed(NAME)}
    excepted = listed({"anyOf": [CIDR, SET]})
    return any_of(record({}, {**networks, "except": excepted}), peers.NETWORKS)


def _rule(direction: Direction) -> Schema:
    who = rules.PEER_FIELDS[direction]
    return record(
        {
            "id": said(NAME, "stable: counters and reports know the rule by it"),
            who: {"type": "array", "items": ref("peer"), "minItems": 1},
            "ports": ref("ports"),
        },
        {
            "action": choice(Action, default=Action.ALLOW),
            "startsAt": said(TIME, "in force from then on, UTC"),
            "expires": said(TIME, "in force until before then, UTC"),
            "log": choice(Log, default=Log.DENY),
            **ABOUT,
        },
    )


def _policy() -> Schema:
    default = record(
        {direction.value: choice(Action) for direction in Direction},
        {"forward": choice(Action, default=Action.ALLOW)},
    )
    return record(
        {
            "mode": said(choice(Mode), "protect refuses, monitor counts and lets pass"),
            "applyTo": said(ref("applyTo"), "the hosts this is about"),
            "default": said(default, "what no rule decides"),
        },
        {
            "tier": choice(Tier, default=Tier.APP),
            **{
                direction.value: {"type": "array", "items": ref(f"{direction.value}Rule")}
                for direction in Direction
            },
        },
    )


def _policy_test() -> Schema:
    port = text("icmp", words.SERVICE, words.ICMP)
    case = record(
        {"from": ref("end"), "to": ref("end"), "port": port, "expect": choice(Action)}, ABOUT
    )
    return record({"cases": {"type": "array", "items": case, "minItems": 1}})


SPECS = {
    "Policy": _policy,
    "AddressSet": lambda: record({"cidrs": listed(CIDR)}),
    "PortSet": lambda: record({"ports": listed(PORT)}),
    "PolicyTest": _policy_test,
}


def schema() -> Schema:
    kinds = [
        record(
            {
                "apiVersion": {"const": document.API_VERSION},
                "kind": {"const": kind},
                "metadata": ref("metadata"),
                "spec": SPECS[kind](),
            }
        )
        for kind in document.KINDS
    ]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"One document of a policy file, {document.API_VERSION}",
        "$comment": "Written by `make format` from tools/policy_schema.py: change it there.",
        "oneOf": kinds,
        "$defs": definitions(),
    }


def page() -> str:
    return json.dumps(schema(), indent=1) + "\n"


def main() -> None:
    SCHEMA.parent.mkdir(exist_ok=True)
    SCHEMA.write_text(page())


if __name__ == "__main__":
    main()
