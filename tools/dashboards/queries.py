"""What a dashboard asks a server, read from its file as Grafana reads it. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

# What Grafana puts in place of its own variables, for a chart of some minutes.
BUILT_IN = {"__rate_interval": "1m", "__interval": "15s", "__range": "15m"}
VARIABLE = re.compile(r"\$(?:\{(\w+)\}|(\w+))")
VALUES = re.compile(r"label_values\((.+), \w+\)")

Document = Mapping[str, Any]


def panels(document: Document) -> Iterator[Document]:
    """All that draw something, also those in folded rows."""
    for panel in document["panels"]:
        if panel["type"] == "row":
            yield from panel["panels"]
        else:
            yield panel


def expressions(document: Document) -> Iterator[tuple[str, str]]:
    """Of panels, marks and choices: where each stands, and the expression."""
    for panel in panels(document):
        for target in panel["targets"]:
            yield f"{panel['title']} {target['refId']}", target["expr"]
    for mark in document.get("annotations", {}).get("list", ()):
        yield f"mark {mark['name']}", mark["expr"]
    for variable in document["templating"]["list"]:
        if variable["type"] == "query" and (found := VALUES.fullmatch(variable["query"]["query"])):
            yield f"choice {variable['name']}", found[1]


def choices(document: Document) -> dict[str, str]:
    """By variable what stands for all of it; ".*" where one is chosen."""
    variables = document["templating"]["list"]
    return {v["name"]: v.get("allValue", ".*") for v in variables if v["type"] == "query"}


def filled(expr: str, values: Mapping[str, str]) -> str:
    """The expression as a server gets it. Raises KeyError for a variable that nobody has."""
    known = {**BUILT_IN, **values}
    return VARIABLE.sub(lambda found: known[found[1] or found[2]], expr)
