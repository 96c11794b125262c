"""A YAML text as pieces: every entry of a mapping and item of a list with the comments that belong to it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from tcmicro_agent.policy.layout.comments import Comment, comments_of
from tcmicro_agent.policy.problems import BREAK
from tcmicro_agent.policy.source.nodes import Loader


@dataclass
class Piece:
    """`head` stands above it, `tail` at the end of its line, `foot` below its last child. `node` is PyYAML's."""

    node: Any
    key: Any = None
    source: str = ""  # of a block scalar, as it was written
    children: list[Piece] = field(default_factory=list)
    head: list[str] = field(default_factory=list)
    tail: str = ""
    foot: list[str] = field(default_factory=list)
    spaced: bool = False  # an empty line stands above

    @property
    def commented(self) -> bool:
        """Whether there is a comment inside, so that it cannot stand in one line."""
        return bool(self.foot) or any(
            child.head or child.tail or child.commented for child in self.children
        )


@dataclass
class Text:
    """Documents, those without content left out; `marked`: the first begins with `---`."""

    documents: list[Piece]
    marked: bool
    rest: list[str]  # comments where there is no document to hold them


def read_pieces(file: str, text: str) -> Text:
    """The text must be known to be YAML of ours."""
    reader = _Reader(file, text)
    found, marked = [], text.lstrip("\ufeff").startswith("---")
    for node, end in _documents(file, text):
        if isinstance(node, yaml.ScalarNode) and node.tag.endswith(":null"):
            continue
        found.append(reader.document(node, end))
    rest = reader.all_before(len(text))
    if found:
        found[-1].foot += rest
        rest = []
    return Text(found, marked, rest)


def _documents(file: str, text: str) -> Iterator[tuple[Any, int]]:
    """Each document's root, and where the next one begins."""
    loader = Loader(text, file)
    nodes, starts = [], []
    while loader.check_node():
        event: Any = loader.peek_event()  # type: ignore[no-untyped-call]  # the stubs say nothing here
        starts.append(event.start_mark.index)
        nodes.append(loader.get_node())
    return zip(nodes, [*starts[1:], len(text)])


class _Reader:
    """Hands out the comments in order of their places."""

    def __init__(self, file: str, text: str) -> None:
        self._text = text
        self._lines = BREAK.split(text)
        self._comments = comments_of(file, text)
        self._taken = 0

    def document(self, node: Any, end: int) -> Piece:
        """What stands above the first key belongs to the document."""
        root = Piece(node, head=self.all_before(node.start_mark.index))
        self._fill(root, end)
        root.foot += self.all_before(end)
        return root

    def all_before(self, index: int) -> list[str]:
        return [comment.text for comment in self._take(lambda c: c.index < index)]

    def _fill(self, piece: Piece, end: int) -> None:
        """The children of a mapping or list; nothing from `end` on is theirs."""
        node = piece.node
        if isinstance(node, yaml.ScalarNode):
            if node.style in ("|", ">"):
                piece.source = self._text[node.start_mark.index : node.end_mark.index]
            return
        end = min(end, node.end_mark.index) if node.flow_style else end
        starts = [_first(entry).start_mark for entry in node.value]
        for entry, start, after in zip(
            node.value, starts, [*(mark.index for mark in starts[1:]), end]
        ):
            piece.children.append(self._child(entry, start, after))
        least = node.start_mark.column
        inside = (
            (lambda c: c.index < end)
            if node.flow_style
            else (lambda c: c.index < end and c.alone and c.column >= least)
        )
        piece.foot += [comment.text for comment in self._take(inside)]

    def _child(self, entry: Any, start: Any, after: int) -> Piece:
        head = self.all_before(start.index)
        key, node = entry if isinstance(entry, tuple) else (None, entry)
        child = Piece(node, key, head=head, spaced=self._spaced(start.line, len(head)))
        if key is not None and not _inline(node):
            child.tail = self._on_line(key.end_mark.line, min(node.start_mark.index, after))
        self._fill(child, after)
        if not child.children:  # brackets that hold a comment and nothing else
            child.head, child.foot = child.head + child.foot, []
        if _inline(node) and not child.source:
            child.tail = child.tail or self._on_line(node.end_mark.line, after)
        return child

    def _on_line(self, line: int, end: int) -> str:
        """The comment at the end of a line."""
        found = self._take(lambda c: c.line == line and not c.alone and c.index < end, most=1)
        return found[0].text if found else ""

    def _spaced(self, line: int, comments: int) -> bool:
        """Whether an empty line stands above a line or the comments over it."""
        while comments and line and self._lines[line - 1].lstrip().startswith("#"):
            line, comments = line - 1, comments - 1
        return line > 0 and not self._lines[line - 1].strip()

    def _take(self, wanted: Any, most: int = 1 << 30) -> list[Comment]:
        first = self._taken
        last = min(first + most, len(self._comments))
        while self._taken < last and wanted(self._comments[self._taken]):
            self._taken += 1
        return self._comments[first : self._taken]


def _first(entry: Any) -> Any:
    return entry[0] if isinstance(entry, tuple) else entry


def _inline(node: Any) -> bool:
    """Whether it ends in a line of its own: a scalar, or a collection in brackets."""
    return isinstance(node, yaml.ScalarNode) or bool(node.flow_style)
