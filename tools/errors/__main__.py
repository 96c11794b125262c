"""Writes docs/errors.md."""

from __future__ import annotations

from tools.errors.page import write

if __name__ == "__main__":
    write()
