"""The comments of a YAML text, which no parser keeps: what stands between its tokens and begins with `#`."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tcmicro_agent.policy.problems import BREAK
from tcmicro_agent.policy.source.nodes import Loader


@dataclass(frozen=True)
class Comment:
    """`index` counts characters from 0, as marks of PyYAML do; `alone`: nothing but space stands before it."""

    index: int
    line: int
    column: int
    text: str
    alone: bool


def comments_of(file: str, text: str) -> list[Comment]:
    """In order of their places. The text must be known to be YAML."""
    starts = [0, *(found.end() for found in BREAK.finditer(text))]
    found: list[Comment] = []
    loader, end = Loader(text, file), 0
    while loader.check_token():
        token: Any = loader.get_token()  # type: ignore[no-untyped-call]  # the stubs say nothing here
        found += _between(text, (end, token.start_mark.index), starts)
        end = max(end, token.end_mark.index)
    return [*found, *_between(text, (end, len(text)), starts)]


def _between(text: str, span: tuple[int, int], starts: list[int]) -> Iterator[Comment]:
    """The comments between two tokens; `starts` are the places where lines begin."""
    at, end = span
    while (at := text.find("#", at, end)) >= 0:
        line = bisect_right(starts, at) - 1
        broken = BREAK.search(text, at)
        stop = broken.start() if broken else len(text)
        alone = not text[starts[line] : at].strip(" \t\ufeff")
        yield Comment(at, line, at - starts[line], text[at:stop].rstrip(), alone)
        at = stop
