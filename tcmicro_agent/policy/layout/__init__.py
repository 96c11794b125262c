"""Policy files in the one way to write them: order of keys and lists, indentation, quotes. Comments are kept.

What is not ours to decide stays as it is: the order of documents, rules and peers, and whether a list stands in one
line or in many (as long as it fits).
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from tcmicro_agent.errors import TcmicroError
from tcmicro_agent.policy.layout.comments import comments_of
from tcmicro_agent.policy.layout.order import SORTED
from tcmicro_agent.policy.layout.pieces import read_pieces
from tcmicro_agent.policy.layout.writer import write
from tcmicro_agent.policy.problems import Problems
from tcmicro_agent.policy.source.nodes import Node, read_documents

__all__ = ["canonical"]


def canonical(file: str, text: str) -> str:
    """The text as it should be. PolicyError where it is no YAML of ours. What it says and its comments are compared
    before and after, so a fault in here cannot change a policy."""
    meant = _meaning(file, text)
    result = write(read_pieces(file, text))
    same = _meaning(file, result) == meant and _remarks(file, result) == _remarks(file, text)
    if not same:
        raise TcmicroError(f"{file}: cannot be formatted without changing it; left as it is")
    return result


def _meaning(file: str, text: str) -> list[Any]:
    problems = Problems()
    found = [_plain(node) for node in read_documents(file, text, problems)]
    problems.raise_any()
    return found


def _plain(node: Node, key: str = "") -> Any:
    """The value without places, and without order where order means nothing."""
    if isinstance(node.value, dict):
        return {name: _plain(inner, name) for name, inner in node.value.items()}
    if isinstance(node.value, tuple):
        items = [_plain(inner) for inner in node.value]
        return sorted(items, key=repr) if key in SORTED else items
    return (type(node.value).__name__, node.value)


def _remarks(file: str, text: str) -> Counter[str]:
    return Counter(comment.text for comment in comments_of(file, text))
