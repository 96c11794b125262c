"""Tracked flows on stdout, as they are read: a host has a million of them, and no memory to spare."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import Any

from tcmicro_agent.cli.table import columns
from tcmicro_agent.documents import document
from tcmicro_agent.listing import Found
from tcmicro_agent.reconcile import Agent
from tcmicro_agent.sessions import Query

Rows = list[dict[str, Any]]
HEADER = ("PROTO", "LOCAL", "", "REMOTE", "STATE", "AGE", "PACKETS", "BYTES", "RULE")


def write(agent: Agent, query: Query, limit: int, form: str) -> None:
    """In one of FORMS: lines for eyes, one JSON document whose counts come last, or a flow a line."""
    found = Found()
    for text in FORMS[form](found, found.rows(agent, query, limit)):
        sys.stdout.write(text)
        sys.stdout.flush()


def text(doc: dict[str, Any]) -> str:
    """A whole document for eyes."""
    found, rows = Found(), doc["sessions"]
    found.matching, found.total = doc["matching"], doc["total"]
    return "".join(_table(found, iter([rows] if rows else []))).rstrip("\n")


def _lines(_: Found, batches: Iterator[Rows]) -> Iterator[str]:
    for rows in batches:
        yield "".join(f"{json.dumps(row)}\n" for row in rows)


def _json(found: Found, batches: Iterator[Rows]) -> Iterator[str]:
    head = json.dumps(document("Sessions"))
    yield f'{head[:-1]}, "sessions": ['
    separator = "\n"
    for rows in batches:
        yield separator + ",\n".join(map(json.dumps, rows))
        separator = ",\n"
    yield f'\n], "matching": {found.matching}, "total": {found.total}}}\n'


def _table(found: Found, batches: Iterator[Rows]) -> Iterator[str]:
    """Columns as wide as the first batch needs them; what is wider later moves its line."""
    shown, widths = 0, tuple(map(len, HEADER))
    for rows in batches:
        lines = [_cells(row) for row in rows]
        if not shown:
            widths = tuple(
                map(max, zip(*([len(cell) for cell in line] for line in (HEADER, *lines))))
            )
            yield columns(HEADER, widths[:-1]) + "\n"
        yield "".join(f"{columns(line, widths[:-1])}\n" for line in lines)
        shown += len(rows)
    if not shown:
        yield columns(HEADER, widths[:-1]) + "\n"
    yield f"{shown} of {found.matching} sessions asked for, {found.total} in all\n"


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    return (
        row["protocol"],
        f"{row['local']}:{row['local_port']}",
        "<-" if row["opener"] == "ingress" else "->",
        f"{row['remote']}:{row['remote_port']}",
        row["state"],
        str(row["age_s"]),
        str(row["packets"]),
        str(row["bytes"]),
        row["rule"],
    )


FORMS = {"table": _table, "json": _json, "jsonl": _lines}
