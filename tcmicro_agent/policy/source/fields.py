"""Typed getters over YAML nodes: they note a fault with its place and return a stand-in, so that reading goes on.

A stand-in never gets out: whoever reads raises the problems before using what was read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum
from types import MappingProxyType
from typing import Final, TypeVar

from tcmicro_agent.jsonutil import did_you_mean, probably_meant, show
from tcmicro_agent.policy.codes import Code
from tcmicro_agent.policy.intent import Word
from tcmicro_agent.policy.problems import Fault, Problems, Where
from tcmicro_agent.policy.source.nodes import Node

T = TypeVar("T")
E = TypeVar("E", bound=Enum)


class _Required(Enum):
    REQUIRED = 0


REQUIRED: Final = _Required.REQUIRED
NO_ITEMS: Final[tuple[Node, ...]] = ()
NO_ENTRIES: Final[Mapping[str, Node]] = MappingProxyType({})


class Fields:
    """One YAML mapping. Fields that nobody asked for are faults, see `close`."""

    def __init__(self, node: Node, what: str, problems: Problems) -> None:
        self.where = node.where
        self.problems = problems
        self._what = what
        self._asked: list[str] = []
        self._broken = not isinstance(node.value, dict)
        self._nodes: dict[str, Node] = {} if self._broken else node.value
        if self._broken:
            self.add(node.where, Code.WRONG_TYPE, f"{what} must be a mapping, not {_kind(node)}")

    def add(self, where: Where, code: Code, text: str) -> None:
        self.problems.add(where, code, text)

    def has(self, key: str) -> bool:
        return key in self._nodes

    def place(self, key: str) -> Where:
        """Where the value of a key stands, or the mapping when it is not there."""
        return self._nodes[key].where if key in self._nodes else self.where

    def read(
        self,
        key: str,
        parse: Callable[[Node], T],
        stand_in: T,
        default: T | _Required = REQUIRED,
    ) -> T:
        """What `parse` makes of a field."""
        self._asked.append(key)
        if key in self._nodes:
            return self._attempt(key, self._nodes[key], parse, stand_in)
        if not isinstance(default, _Required):
            return default
        if not self._broken:
            self.add(self.where, Code.MISSING, f"{self._what} has no {show(key)}")
        return stand_in

    def text(self, key: str, default: str | _Required = REQUIRED) -> str:
        return self.read(key, text_of, "", default)

    def choice(self, key: str, kind: type[E], default: E | _Required = REQUIRED) -> E:
        return self.read(key, lambda node: choice_of(node, kind), next(iter(kind)), default)

    def fields(self, key: str, what: str) -> Fields:
        """The mapping at a key that must be there."""
        missing = Node(self.where, {}, self.where)
        node = self.read(key, lambda node: node, missing)
        found = Fields(node, what, self.problems)
        found._broken = found._broken or node is missing
        return found

    def each(self, key: str, parse: Callable[[Node], T], *, required: bool = True) -> tuple[T, ...]:
        """What `parse` makes of every item of a list that must name something, and nothing twice."""
        found: list[T] = []
        seen: set[str] = set()
        for node in self.read(key, some_of, NO_ITEMS, REQUIRED if required else NO_ITEMS):
            if isinstance(node.value, str) and node.value in seen:
                self.add(node.where, Code.REPEATED, f"{key}: {show(node.value)} stands twice")
            else:
                self._attempt(key, node, lambda node: found.append(parse(node)), None)
            if isinstance(node.value, str):
                seen.add(node.value)
        return tuple(found)

    def entries(self, key: str, parse: Callable[[Node], T]) -> tuple[tuple[Word, T], ...]:
        """The names and values of an optional mapping that must name something."""
        found: list[tuple[Word, T]] = []
        none: list[T] = []
        for name, node in self.read(key, _some_entries, NO_ENTRIES, NO_ENTRIES).items():
            values = self._attempt(f"{key}.{name}", node, lambda node: [parse(node)], none)
            found += ((Word(name, node.key_where), value) for value in values)
        return tuple(found)

    def refuse(self, code: Code, text: str, *keys: str) -> None:
        """Fields that are known and may not be here: to ignore them would weaken a policy."""
        for key in keys:
            if key in self._nodes:
                self._asked.append(key)
                self.add(self._nodes[key].key_where, code, f"{show(key)} {text}")

    def need_one(self, keys: tuple[str, ...]) -> None:
        """Refuse a selector that names nothing."""
        if not self._broken and not any(key in self._nodes for key in keys):
            self.add(self.where, Code.EMPTY, f"{self._what} must have one of {', '.join(keys)}")

    def close(self) -> None:
        """Refuse the fields nobody asked for."""
        for key, node in self._nodes.items():
            if key not in self._asked:
                text = f"unknown key {show(key)}{did_you_mean(key, self._asked)}"
                self.add(node.key_where, Code.UNKNOWN_KEY, text)

    def _attempt(self, label: str, node: Node, parse: Callable[[Node], T], stand_in: T) -> T:
        try:
            return parse(node)
        except Fault as fault:
            self.add(fault.where, fault.code, f"{label}: {fault.text}")
            return stand_in


def text_of(node: Node) -> str:
    if not isinstance(node.value, str):
        hint = ""
        if isinstance(node.value, (bool, int)):
            hint = f'; put it in quotes: "{str(node.value).lower()}"'
        raise Fault(node.where, Code.WRONG_TYPE, f"must be text, not {_kind(node)}{hint}")
    if not node.value:
        raise Fault(node.where, Code.EMPTY, "must not be empty")
    return node.value


def choice_of(node: Node, kind: type[E]) -> E:
    for member in kind:
        if node.value == member.value:
            return member
    allowed = [str(member.value) for member in kind]
    shown = show(node.value) if isinstance(node.value, (str, int, type(None))) else _kind(node)
    hint = probably_meant(node.value, allowed) if isinstance(node.value, str) else ""
    text = f"{shown} is not one of {', '.join(allowed)}{hint}"
    raise Fault(node.where, Code.NOT_ALLOWED, text)


def items_of(node: Node) -> tuple[Node, ...]:
    if not isinstance(node.value, tuple):
        raise Fault(node.where, Code.WRONG_TYPE, f"must be a list, not {_kind(node)}")
    return node.value


def some_of(node: Node) -> tuple[Node, ...]:
    if not items_of(node):
        raise Fault(node.where, Code.EMPTY, "the list is empty; name at least one")
    return items_of(node)


def _some_entries(node: Node) -> Mapping[str, Node]:
    if not isinstance(node.value, dict):
        raise Fault(node.where, Code.WRONG_TYPE, f"must be a mapping, not {_kind(node)}")
    if not node.value:
        raise Fault(node.where, Code.EMPTY, "the mapping is empty; name at least one")
    return node.value


def _kind(node: Node) -> str:
    if isinstance(node.value, dict):
        return "a mapping"
    if isinstance(node.value, tuple):
        return "a list"
    return "nothing" if node.value is None else show(node.value)
