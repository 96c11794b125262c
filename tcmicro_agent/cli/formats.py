"""Documents for machines: one JSON document, one item a line (jsonl), or YAML."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

FORMATS = ("table", "json", "jsonl", "yaml")
# What a document lists: with jsonl each of these is a line. A document that is no list is one line.
ITEMS = {
    "Interfaces": ("guarded", "unguarded"),
    "Doctor": ("findings",),
    "EventSums": ("sums",),
    "PolicyDifferences": ("differences",),
    "PolicyFormat": ("changed",),
    "PolicyGraph": ("edges",),
    "PolicyList": ("local", "rules"),
    "PolicyTestResults": ("results",),
    "PolicyValidation": ("diagnostics",),
    "Preflight": ("findings",),
    "RuleHits": ("rules",),
    "SessionCount": ("groups",),
    "RolloutList": ("rollouts",),
    "RolloutReport": ("written",),
    "Sessions": ("sessions",),
    "Stats": ("counters",),
    "TraceDrops": ("drops",),
    "TraceLatency": ("programs",),
}
# A word that every YAML reader takes for a string: no number, date, truth value or null looks like it.
PLAIN = re.compile(r"[A-Za-z_/][A-Za-z0-9_./-]*")
NOT_PLAIN = {"true", "false", "yes", "no", "on", "off", "null", "y", "n"}
# Of what JSON leaves as it is, YAML allows these in quotes, or reads them otherwise.
UNSAFE = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ud800-\udfff\ufffe\uffff]")


def text(document: Mapping[str, Any], form: str) -> str:
    """The document in one of FORMATS but `table`."""
    if form == "jsonl":
        return "\n".join(json.dumps(item, default=str) for item in items(document))
    if form == "yaml":
        return yaml(json.loads(json.dumps(document, default=str)))
    return json.dumps(document, indent=2, default=str)


def streamed(document: Mapping[str, Any], form: str) -> str:
    """One of many documents that come one after the other: a line each, or a YAML document each."""
    if form == "yaml":
        return f"---\n{text(document, form)}"
    return json.dumps(document, default=str)


def items(document: Mapping[str, Any]) -> list[Any]:
    """What it lists, or itself where it is no list."""
    keys = ITEMS.get(document["kind"])
    return [item for key in keys for item in document[key]] if keys else [document]


def yaml(value: Any) -> str:
    """Block style for what nests, scalars as JSON writes them, which YAML 1.1 and 1.2 read alike."""
    return "\n".join(_block(value, ""))


def _block(value: Any, indent: str) -> Iterator[str]:
    if isinstance(value, dict) and value:
        for key, content in value.items():
            yield from _entry(f"{indent}{_scalar(key)}:", content, f"{indent}  ")
    elif isinstance(value, list) and value:
        for content in value:
            lines = list(_block(content, f"{indent}  "))
            yield f"{indent}- {lines[0].lstrip(' ')}"
            yield from lines[1:]
    else:
        yield indent + _scalar(value)


def _entry(head: str, content: Any, indent: str) -> Iterator[str]:
    if isinstance(content, (dict, list)) and content:
        yield head
        yield from _block(content, indent)
    else:
        yield f"{head} {_scalar(content)}"


def _scalar(value: Any) -> str:
    if isinstance(value, float):  # YAML 1.1 wants a point in what has an exponent
        return re.sub(r"^(-?\d+)e", r"\1.0e", json.dumps(value))
    if not isinstance(value, str):
        return json.dumps(value)
    if PLAIN.fullmatch(value) and value.lower() not in NOT_PLAIN:
        return value
    quoted = json.dumps(value, ensure_ascii=False)
    return UNSAFE.sub(lambda found: f"\\u{ord(found[0]):04x}", quoted)
