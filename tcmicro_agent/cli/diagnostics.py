"""Faults of policies as a document, and that document as text with the source and a caret below it."""

from __future__ import annotations

import os
import re
import sys
import unicodedata
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Callable

from tcmicro_agent.documents import document
from tcmicro_agent.policy.catalogue import link
from tcmicro_agent.policy.problems import BREAK, Fault

WIDTH = 100  # characters of a source line that are shown
BEFORE = 40  # of them at most before the fault, where the line is longer
QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"|\'(?:[^\']|\'\')*\'')
BARE = re.compile(r"[^\s,\[\]{}#]*[^\s,\[\]{}#:]")
COLOURS = {"error": "\x1b[1;31m", "warning": "\x1b[1;33m", "bold": "\x1b[1m", "caret": "\x1b[1;32m"}
RESET = "\x1b[0m"

Paint = Callable[[str, str], str]


def rows(
    faults: Iterable[Fault], texts: Mapping[str, str], paths: Mapping[str, Path]
) -> list[dict[str, Any]]:
    """One object per fault. `file` is the path as it was given. `source` is the line, of a long one what stands around
    the fault, and `caret` which of its characters are meant; "" and none where no line is."""
    lines = {name: BREAK.split(text) for name, text in texts.items()}
    return [_row(fault, lines.get(fault.where.file, []), paths) for fault in faults]


def validation(found: list[dict[str, Any]], checked: Mapping[str, Any]) -> dict[str, Any]:
    """`checked` says what was looked at: files, documents, hosts; null what was not."""
    counts = {
        level: sum(row["severity"] == level for row in found) for level in ("error", "warning")
    }
    return document(
        "PolicyValidation",
        ok=not counts["error"],
        errors=counts["error"],
        warnings=counts["warning"],
        checked=dict(checked),
        diagnostics=found,
    )


def strict(found: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Warnings become errors."""
    return [{**row, "severity": "error"} for row in found]


def text(doc: Mapping[str, Any]) -> str:
    """The document for eyes; with colours on a terminal, unless NO_COLOR is set."""
    colour = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    lines = [blocks(doc["diagnostics"], colour=colour)] if doc["diagnostics"] else []
    return "\n".join([*lines, _summary(doc)])


def formatted(doc: Mapping[str, Any]) -> str:
    """What `policy fmt` did or would do."""
    verb = "formatted" if doc["written"] else "would be formatted"
    lines = [*doc["diff"], *(f"{file}: {verb}" for file in doc["changed"])]
    lines.append(f"{_count(len(doc['changed']), 'file')} of {doc['files']} {verb}")
    return "\n".join("".join(map(_visible, line)) for line in lines)


def blocks(found: Iterable[Mapping[str, Any]], *, colour: bool) -> str:
    """Each fault with its line and a caret."""
    paint: Paint = _painted if colour else lambda _, text: text
    return "\n".join(line for row in found for line in _block(row, paint))


def _summary(doc: Mapping[str, Any]) -> str:
    checked, errors, warnings = doc["checked"], doc["errors"], doc["warnings"]
    counts = f"{_count(errors, 'error')}, {_count(warnings, 'warning')}"
    read = f"{_count(checked['policies'], 'policy')} in {_count(checked['files'], 'file')}"
    if not checked["inventories"]:
        return f"{counts}: {read}, syntax only; with -i INVENTORY it is checked what they come to"
    if checked["hosts"] is None:
        return f"{counts}: {read}; the inventory cannot be used, so nothing was checked with it"
    return f"{counts}: {read}, for {_count(checked['hosts'], 'host')}"


def _count(number: int, noun: str) -> str:
    many = noun[:-1] + "ies" if noun.endswith("y") else f"{noun}s"
    return f"{number} {noun if number == 1 else many}"


def _row(fault: Fault, lines: list[str], paths: Mapping[str, Path]) -> dict[str, Any]:
    where = fault.where
    there = 1 <= where.line <= len(lines)
    source, caret = _excerpt(lines[where.line - 1], where.column - 1) if there else ("", [0, 0])
    return {
        "file": str(paths.get(where.file, where.file)),
        "line": where.line,
        "column": where.column,
        "code": fault.code.value,
        "severity": fault.code.severity.value,
        "message": fault.text,
        "docs": link(fault.code),
        "source": source,
        "caret": caret,
    }


def _excerpt(line: str, start: int) -> tuple[str, list[int]]:
    """What fits around the fault, and which characters of it are meant: the first and how many."""
    start = min(start, len(line))
    first = max(0, start - BEFORE) if len(line) > WIDTH else 0
    shown = "".join(map(_visible, line[first : first + WIDTH]))
    before, after = "…" if first else "", "…" if len(line) > first + WIDTH else ""
    at = start - first
    length = max(1, min(_length(line, start), len(shown) - at))
    return f"{before}{shown.rstrip()}{after}", [len(before) + at, length]


def _block(row: Mapping[str, Any], paint: Paint) -> Iterable[str]:
    place = f"{row['file']}:{row['line']}:{row['column']}" if row["line"] else row["file"]
    level = paint(row["severity"], f"{row['severity']} {row['code']}")
    yield f"{paint('bold', place + ':')} {level}: {row['message']}"
    if row["source"].strip():
        first, length = row["caret"]
        source = row["source"]
        padding = " " * sum(map(_columns, source[:first].ljust(first)))
        marks = "^" * max(1, sum(map(_columns, source[first : first + length])))
        yield f"  {source}"
        yield f"  {padding}{paint('caret', marks)}"


def _length(line: str, start: int) -> int:
    """How long the word is that begins there."""
    found = QUOTED.match(line, start) or BARE.match(line, start)
    return len(found[0]) if found else 1


def _visible(character: str) -> str:
    """Nothing in a file can move the cursor of whoever reads about it."""
    if character == "\t":
        return " "
    return character if character.isprintable() else "\N{REPLACEMENT CHARACTER}"


def _columns(character: str) -> int:
    """Columns that a terminal gives it."""
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def _painted(colour: str, text: str) -> str:
    return f"{COLOURS[colour]}{text}{RESET}"
