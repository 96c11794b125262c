"""YAML text → nodes with places. A small YAML: no anchors, no tags, and all but true, false, null and decimals is text.

Plain PyYAML reads `22:22` as 1342 and `on` as True, and lets a few lines of aliases grow into gigabytes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Union

import yaml
from yaml.composer import Composer
from yaml.parser import Parser
from yaml.reader import Reader, ReaderError
from yaml.resolver import BaseResolver
from yaml.scanner import Scanner

from tcmicro_agent.jsonutil import show
from tcmicro_agent.policy.codes import Code
from tcmicro_agent.policy.problems import Fault, Problems, Where

MAX_LENGTH = 128 * 1024
MAX_DEPTH = 16

Value = Union[None, bool, int, str, tuple["Node", ...], dict[str, "Node"]]


@dataclass(frozen=True)
class Node:
    """One value, where it stands, and where its key does."""

    where: Where
    value: Any  # a Value; Any because mypy cannot narrow a recursive union by isinstance of tuple and dict
    key_where: Where


class Loader(Reader, Scanner, Parser, Composer, BaseResolver):
    """PyYAML up to its nodes, with what we refuse refused before it can grow."""

    def __init__(self, text: str, file: str) -> None:
        Reader.__init__(self, text)
        Scanner.__init__(self)
        Parser.__init__(self)
        Composer.__init__(self)
        BaseResolver.__init__(self)
        self.file = file
        self.depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]  # the stubs say nothing here
        where = _place(self.file, event.start_mark)
        if isinstance(event, yaml.AliasEvent) or event.anchor or event.tag:
            text = "anchors, aliases and tags are not supported; write the value out"
            raise Fault(where, Code.YAML_FEATURE, text)
        if self.depth == MAX_DEPTH:
            raise Fault(where, Code.TOO_LARGE, f"nested more than {MAX_DEPTH} levels deep")
        self.depth += 1
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node


def _resolve(kind: str, pattern: str, first: str) -> None:
    Loader.add_implicit_resolver(f"tag:yaml.org,2002:{kind}", re.compile(pattern), list(first))


_resolve("bool", r"(?:true|false)\Z", "tf")
_resolve("null", r"(?:~|null)?\Z", "~n")
_resolve("int", r"-?(?:0|[1-9][0-9]{0,17})\Z", "-0123456789")

# `key:` without a value has no first character to look up
Loader.add_implicit_resolver("tag:yaml.org,2002:null", re.compile(r"\Z"), [""])

_CONSTRUCT: dict[str, Callable[[str], None | bool | int | str]] = {
    "bool": lambda text: text == "true",
    "null": lambda _: None,
    "int": int,
    "str": str,
}


def read_documents(file: str, text: str, problems: Problems) -> Iterator[Node]:
    """The documents of one file, up to the first fault of its syntax. Empty ones are passed over."""
    if len(text) > MAX_LENGTH:
        where = Where(file, 1, 1)
        problems.add(where, Code.TOO_LARGE, f"longer than {MAX_LENGTH} characters; split the file")
        return
    try:
        for node in _compose(file, text):
            found = _convert(file, node, problems)
            if found.value is not None:
                yield found
    except Fault as fault:
        problems.take(fault)


def _compose(file: str, text: str) -> Iterator[Any]:
    try:
        loader = Loader(text, file)
        while loader.check_node():
            yield loader.get_node()
    except yaml.MarkedYAMLError as exc:
        mark = exc.problem_mark or exc.context_mark
        raise Fault(_place(file, mark), Code.SYNTAX, f"not YAML: {exc.problem}") from exc
    except ReaderError as exc:
        line = text.count("\n", 0, exc.position) + 1
        column = exc.position - text.rfind("\n", 0, exc.position)
        shown = show(chr(exc.character))
        raise Fault(
            Where(file, line, column), Code.SYNTAX, f"character {shown} is not allowed"
        ) from exc
    except (
        ValueError,
        OverflowError,
    ) as exc:  # an escape like "\UFFFFFFFF" or a huge %YAML version
        raise Fault(Where(file, 1, 1), Code.SYNTAX, f"not YAML: {exc}") from exc


def _convert(file: str, node: Any, problems: Problems, key_where: Where | None = None) -> Node:
    where = _place(file, node.start_mark)
    value: Value
    if isinstance(node, yaml.ScalarNode):
        value = _CONSTRUCT[node.tag.rpartition(":")[2]](node.value)
    elif isinstance(node, yaml.SequenceNode):
        value = tuple(_convert(file, item, problems) for item in node.value)
    else:
        value = _mapping(file, node, problems)
    return Node(where, value, key_where or where)


def _mapping(file: str, node: Any, problems: Problems) -> dict[str, Node]:
    found: dict[str, Node] = {}
    for key_node, value_node in node.value:
        where = _place(file, key_node.start_mark)
        if not isinstance(key_node, yaml.ScalarNode) or not key_node.tag.endswith(":str"):
            problems.add(where, Code.WRONG_TYPE, "a key must be text; put it in quotes")
        elif key_node.value in found:
            line = found[key_node.value].key_where.line
            text = f"{show(key_node.value)} stands twice here, first in line {line}"
            problems.add(where, Code.DUPLICATE_KEY, text)
        else:
            found[key_node.value] = _convert(file, value_node, problems, where)
    return found


def _place(file: str, mark: Any) -> Where:
    return Where(file, mark.line + 1, mark.column + 1) if mark else Where(file, 1, 1)
