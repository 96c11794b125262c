# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A report as one HTML file that needs nothing else: no script, no font, no picture from elsewhere. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from ansible_collections.tcmicro.fleet.plugins.plugin_utils.report.content import (
    Section,
    Table,
    sections,
)
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.report.plots import plot
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.report.record import Record

STYLE = """
:root { --ink: #1c2733; --dim: #5d6f80; --line: #d5dde4; --page: #fff; --good: #2e8b57; --bad: #c0392b; --band: #90a4b5; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #dce5ee; --dim: #8fa2b5; --line: #33414e; --page: #151b22; --good: #4cb782; --bad: #ef6a5a; --band: #5d7486; }
}
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--page); max-width: 68rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.3rem; border-left: .35rem solid var(--bad); padding-left: .8rem; } h1.succeeded { border-color: var(--good); }
h2 { font-size: 1.05rem; margin-top: 2rem; }
.wide { overflow-x: auto; } table { border-collapse: collapse; } th { text-align: left; color: var(--dim); font-weight: 600; }
th, td { padding: .25rem .9rem .25rem 0; border-bottom: 1px solid var(--line); vertical-align: top; }
td.pass, td.committed { color: var(--good); } td.fail, td.error, td.stuck { color: var(--bad); font-weight: 600; }
.plots { display: flex; flex-wrap: wrap; gap: 1rem; } .plot { width: 29rem; max-width: 100%; }
.plot text { font: 11px system-ui, sans-serif; fill: var(--dim); } .plot .title { font-size: 12.5px; fill: var(--ink); }
.grid { stroke: var(--line); } .band { fill: var(--band); opacity: .3; } .median { fill: none; stroke: var(--band); stroke-width: 1.5; }
.canary { fill: none; stroke: var(--bad); stroke-width: 1.4; opacity: .8; } .change { stroke: var(--dim); stroke-dasharray: 4 3; }
"""
LEGEND = "Red: one line per changed host. Grey: the range of the untouched hosts, and their median. Dashed: the change."


def page(record: Record) -> str:
    """The whole document."""
    title = escape(record.headline())
    body = [
        f'<h1 class="{escape(record.state)}">{title}</h1>',
        *(part for section in sections(record) for part in _section(section)),
        *_plots(record),
    ]
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{title}</title>'
    return f'<!doctype html>\n<html lang="en"><head>{head}<style>{STYLE}</style></head>\n<body>{chr(10).join(body)}</body></html>\n'


def _section(section: Section) -> Iterator[str]:
    yield f"<h2>{escape(section.title)}</h2>"
    if section.lines:
        yield f"<ul>{''.join(f'<li>{escape(line)}</li>' for line in section.lines)}</ul>"
    if section.table is not None:
        yield from _table(section.table)


def _table(table: Table) -> Iterator[str]:
    head = "".join(f"<th>{escape(cell)}</th>" for cell in table.head)
    yield f'<div class="wide"><table><tr>{head}</tr>'
    for row in table.rows:
        yield f"<tr>{''.join(_cell(cell) for cell in row)}</tr>"
    yield "</table></div>"


def _cell(text: str) -> str:
    return (
        f'<td class="{escape(text)}">{escape(text)}</td>'
        if text.isalpha()
        else f"<td>{escape(text)}</td>"
    )


def _plots(record: Record) -> Iterator[str]:
    drawn = [(wave, [p for p in map(plot, wave.series) if p]) for wave in record.waves]
    if not any(plots for _, plots in drawn):
        return
    yield f"<h2>Gate metrics</h2><p>{LEGEND}</p>"
    for wave, plots in drawn:
        if plots:
            yield f'<h3>Wave {wave.number}</h3><div class="plots">{"".join(plots)}</div>'
