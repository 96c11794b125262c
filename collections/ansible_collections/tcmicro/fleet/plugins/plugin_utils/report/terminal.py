# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A record as text for a terminal: what happened, the waves, and what needs a look. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from ansible_collections.tcmicro.fleet.plugins.plugin_utils.report.content import (
    Section,
    Table,
    sections,
)
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.report.record import Record
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.tables import aligned

WIDEST = 60  # characters of a cell


def text(record: Record) -> str:
    """The whole of it; its first line says why the rollout ended, or where it is."""
    lines = [record.headline(), ""]
    for section in sections(record):
        lines += [section.title.upper(), *_body(section), ""]
    return "\n".join(lines).rstrip()


def _body(section: Section) -> Iterator[str]:
    yield from (f"  {line}" for line in section.lines)
    if section.table is not None:
        yield from (f"  {line}" for line in _columns(section.table))


def _columns(table: Table) -> list[str]:
    return aligned([[_short(cell) for cell in row] for row in (table.head, *table.rows)])


def _short(cell: str) -> str:
    return cell if len(cell) <= WIDEST else f"{cell[: WIDEST - 1]}…"
