# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A report as Markdown. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from ansible_collections.tcmicro.fleet.plugins.plugin_utils.report.content import (
    Section,
    Table,
    sections,
)
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.report.record import Record

ESCAPES = str.maketrans({"\\": "\\\\", "|": "\\|", "<": "&lt;", "*": "\\*", "_": "\\_", "`": "\\`"})


def markdown(record: Record) -> str:
    """The whole report; its first line says why the rollout ended."""
    lines = [f"# {_plain(record.headline())}", ""]
    for section in sections(record):
        lines += [f"## {section.title}", "", *_body(section), ""]
    return "\n".join(lines)


def _body(section: Section) -> Iterator[str]:
    yield from (f"- {_plain(line)}" for line in section.lines)
    if section.table is not None:
        yield from _table(section.table)


def _table(table: Table) -> Iterator[str]:
    yield _row(table.head)
    yield _row(("---",) * len(table.head))
    yield from (_row(tuple(map(_plain, row))) for row in table.rows)


def _row(cells: tuple[str, ...]) -> str:
    return f"| {' | '.join(cells)} |"


def _plain(text: str) -> str:
    """Text of hosts and errors can hold anything, and must not become markup."""
    return text.translate(ESCAPES)
