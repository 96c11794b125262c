"""The fenced commands of a page as one shell script, in which each block finds what the one before left. Pure."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass

FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
HEADING = re.compile(r"^## (.+)$", re.MULTILINE)
PROMPT = "$ "
BEGIN = """\
set -euo pipefail
say() { printf '%6d s  %s\\n' "$SECONDS" "$*"; }
expect() { [[ $1 == "$2" ]] || { printf 'printed %s, and the page says %s\\n' "$1" "$2" >&2; exit 1; }; }
"""


@dataclass(frozen=True)
class Block:
    """Commands below a heading; or, where `shown` is not None, one command with what it prints."""

    heading: str
    commands: str
    shown: str | None = None


def blocks(page: str) -> Iterator[Block]:
    """What is to be typed, in order: blocks of sh, and lines after a prompt."""
    for found in FENCE.finditer(page):
        headings = HEADING.findall(page, 0, found.start())
        heading = headings[-1] if headings else "Begin"
        language, text = found.groups()
        if language == "sh":
            yield Block(heading, text)
        elif not language and text.startswith(PROMPT):
            yield from _prompts(heading, text)


def _prompts(heading: str, text: str) -> Iterator[Block]:
    for part in re.split(r"(?m)^\$ ", text)[1:]:
        command, _, shown = part.partition("\n")
        yield Block(heading, f"{command}\n", shown.strip())


def script(page: str) -> str:
    """A bash script that stops at the first command that fails or prints something else than the page shows."""
    return BEGIN + "".join(_lines(block) for block in blocks(page))


def _lines(block: Block) -> str:
    told = f"say {shlex.quote(block.heading)}: {shlex.quote(_first(block.commands))}\n"
    if block.shown is None:
        return told + block.commands
    return f'{told}expect "$({block.commands.strip()})" {shlex.quote(block.shown)}\n'


def _first(commands: str) -> str:
    line, _, rest = commands.partition("\n")
    return f"{line} …" if rest else line
