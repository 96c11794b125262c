"""Pieces → text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

import yaml

from tcmicro_agent.policy.layout.order import SORTED, key_order
from tcmicro_agent.policy.layout.pieces import Piece, Text
from tcmicro_agent.policy.layout.scalars import block_scalar, scalar

WIDTH = 100
STEP = "  "
COMMENT = "  "  # between a value and its comment


def write(text: Text) -> str:
    documents = ["\n".join([*root.head, *_root(root), *root.foot]) for root in text.documents]
    body = "\n---\n".join(part for part in documents) if documents else "\n".join(text.rest)
    start = "---\n" if text.marked and documents else ""
    return f"{start}{body}\n" if body else ""


def _root(root: Piece) -> Iterator[str]:
    """A document's lines, without the comments around it."""
    if isinstance(root.node, yaml.ScalarNode):
        yield scalar(root.node, in_flow=False)
    elif not root.children:
        yield _flow(root, "")
    else:
        yield from _children(root, "", "")


def _children(piece: Piece, key: str, indent: str) -> Iterator[str]:
    """The lines of a mapping or list in block style; its foot is the caller's."""
    is_list = isinstance(piece.node, yaml.SequenceNode)
    for number, child in enumerate(_ordered(piece, key)):
        if child.spaced and number:
            yield ""
        yield from (indent + comment for comment in child.head)
        yield from _item(child, indent) if is_list else _entry(child, indent)


def _entry(child: Piece, indent: str) -> Iterator[str]:
    name = f"{indent}{scalar(child.key, in_flow=False)}:"
    key = child.key.value
    if child.source:
        yield from block_scalar(child, name + " ", indent + STEP)
    elif _fits(child, key, len(name) + 1):
        value = _inline(child, key)
        yield _closed(f"{name} {value}".rstrip(), child)
    else:
        yield _closed(name, child)
        yield from _below(child, key, indent + STEP)


def _item(child: Piece, indent: str) -> Iterator[str]:
    inner = indent + STEP
    if child.source:
        yield from block_scalar(child, f"{indent}- ", inner)
    elif _fits(child, "", len(inner)):
        yield _closed(f"{indent}- {_inline(child, '')}".rstrip(), child)
    else:
        first = next(iter(_ordered(child, "")))
        above = [child.tail] if child.tail else []  # there is no place for either behind the dash
        yield from (indent + comment for comment in (*above, *first.head))
        lines = _below(child, "", inner, skip=len(first.head))
        yield f"{indent}- {next(lines)[len(inner) :]}"
        yield from lines


def _below(piece: Piece, key: str, indent: str, skip: int = 0) -> Iterator[str]:
    """Children and foot, without the first lines."""
    yield from islice(_children(piece, key, indent), skip, None)
    yield from (indent + comment for comment in piece.foot)


def _closed(line: str, piece: Piece) -> str:
    return f"{line}{COMMENT}{piece.tail}" if piece.tail else line


def _fits(piece: Piece, key: str, column: int) -> bool:
    """Whether it stands in one line: what was written in one, has no comment inside, and is short enough."""
    if isinstance(piece.node, yaml.ScalarNode) or (not piece.children and not piece.commented):
        return True
    if not piece.node.flow_style or piece.commented:
        return False
    return column + len(_inline(piece, key)) <= WIDTH


def _inline(piece: Piece, key: str) -> str:
    if isinstance(piece.node, yaml.ScalarNode):
        return scalar(piece.node, in_flow=False)
    return _flow(piece, key)


def _flow(piece: Piece, key: str) -> str:
    """In brackets."""
    if isinstance(piece.node, yaml.ScalarNode):
        return scalar(piece.node, in_flow=True)
    parts = (_flow_part(child) for child in _ordered(piece, key))
    inner = ", ".join(parts)
    return f"[{inner}]" if isinstance(piece.node, yaml.SequenceNode) else f"{{{inner}}}"


def _flow_part(child: Piece) -> str:
    if child.key is None:
        return _flow(child, "")
    return f"{scalar(child.key, in_flow=True)}: {_flow(child, child.key.value)}".rstrip()


def _ordered(piece: Piece, key: str) -> Iterable[Piece]:
    children = piece.children
    if isinstance(piece.node, yaml.MappingNode):
        return sorted(children, key=lambda child: key_order(key, child.key.value))
    return sorted(children, key=lambda child: _rank(key, child)) if _sorts(piece, key) else children


def _sorts(piece: Piece, key: str) -> bool:
    """A comment above an item begins a part of the list, which is not torn apart."""
    plain = all(isinstance(child.node, yaml.ScalarNode) for child in piece.children)
    return key in SORTED and plain and not any(child.head for child in piece.children)


def _rank(key: str, child: Piece) -> tuple[Any, ...]:
    return SORTED[key](child.node.value)
