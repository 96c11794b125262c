"""Columns for eyes."""

from __future__ import annotations

from collections.abc import Sequence

Row = Sequence[object]


def table(header: Row, rows: Sequence[Row]) -> str:
    """Columns as wide as their widest cell, two spaces apart."""
    lines = [[str(cell) for cell in row] for row in (header, *rows)]
    widths = [max(len(line[n]) for line in lines) for n in range(len(header))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip() for line in lines
    )


def columns(cells: Row, widths: Sequence[int]) -> str:
    """A line of columns of fixed width, where later lines are not known yet; the last cell is as long as it is."""
    padded = [str(cell).ljust(width) for cell, width in zip(cells, (*widths, 0))]
    return "  ".join(padded).rstrip()
