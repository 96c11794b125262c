"""The comments of a YAML text, which no parser keeps: what stands between its tokens and begins with `#`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

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
    found: list[Comment] = []
    loader, end = Loader(text, file), 0
    while loader.check_token():
        token: Any = loader.get_token()  # type: ignore[no-untyped-call]  # the stubs say nothing here
        start = min(token.start_mark.index, len(text))
        found += _between(text, end, start)
        end = max(end, min(token.end_mark.index, len(text)))
    return [*found, *_between(text, end, len(text))]


def _between(text: str, start: int, end: int) -> list[Comment]:
    found: list[Comment] = []
    while (at := text.find("#", start, end)) >= 0:
        stop = min(
            (n for n in (text.find(b, at) for b in "\r\n\x85\u2028\u2029") if n >= 0),
            default=len(text),
        )
        line_start = max(text.rfind(b, 0, at) for b in "\r\n\x85\u2028\u2029") + 1
        line = _lines(text, at)
        alone = not text[line_start:at].strip(" \t\ufeff")
        found.append(Comment(at, line, at - line_start, text[at:stop].rstrip(), alone))
        start = stop
    return found


def _lines(text: str, index: int) -> int:
    """How many line breaks stand before, as YAML counts them."""
    before = text[:index]
    return sum(map(before.count, "\n\x85\u2028\u2029")) + before.count("\r") - before.count("\r\n")
