"""Read JSON from outside into our own types: every fault found at once, each with the path of its value.

`read(value, build, failure)` hands `build` a Reader. Its getters note a fault and return a stand-in of the right
type, so reading goes on and finds the next fault; `read` raises before a stand-in can get out. Keys that nobody
asked for are faults too.

    def service(item: Reader) -> Service:
        return Service(item.get_enum("protocol", Protocol), item.get_int("first", 0, 65535, "port"), ...)

    rules[2].services[0].first: 70000 is not a port (0-65535)
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import Enum
from operator import itemgetter
from typing import Any, Final, TypeVar

from tcmicro_agent.errors import InputErrors

T = TypeVar("T")
E = TypeVar("E", bound=Enum)


class _Required(Enum):
    """The default of a key that must be there."""

    REQUIRED = 0


REQUIRED: Final = _Required.REQUIRED
_ABSENT: Final = object()


def loads(text: str | bytes, failure: type[InputErrors], where: str = "document") -> object:
    """The value of one strict JSON text: no duplicate keys, no NaN, no bottomless nesting."""
    try:
        return json.loads(text, object_pairs_hook=_unique, parse_constant=_refuse_constant)
    except RecursionError:
        raise failure([f"{where}: nested too deeply to be read"]) from None
    except ValueError as exc:
        raise failure([f"{where}: not JSON: {exc}"]) from exc


def read(value: object, build: Callable[[Reader], T], failure: type[InputErrors]) -> T:
    """What `build` makes of a JSON object, or `failure` with every problem found in it."""
    problems: list[str] = []
    reader = Reader(value, "", problems)
    result = build(reader)
    reader.refuse_unread()
    if problems:
        raise failure(problems)
    return result


class Reader:
    """One JSON object under its path; the getters take a key, and a default where the key may be absent."""

    def __init__(self, value: object, path: str, problems: list[str]) -> None:
        self.path = path
        self._problems = problems
        self._children: list[Reader] = []
        self._asked: dict[str, None] = {}
        self._object: dict[str, Any] | None = value if isinstance(value, dict) else None
        if self._object is None and value is not _ABSENT:
            problems.append(f"{path or 'document'}: {show(value)} is not an object")

    def fault(self, key: str, text: str) -> None:
        """Note a fault of the value at `key`; an empty key means this object itself."""
        self._problems.append(f"{self._at(key) or 'document'}: {text}")

    def has(self, key: str) -> bool:
        """Whether the key is there and not null."""
        return self._object is not None and self._object.get(key) is not None

    def get_str(self, key: str, default: str | _Required = REQUIRED) -> str:
        return self._get(key, default, "", lambda value: _typed(value, str, "a string"))

    def get_bool(self, key: str, default: bool | _Required = REQUIRED) -> bool:
        return self._get(key, default, False, lambda value: _typed(value, bool, "true or false"))

    def get_int(
        self,
        key: str,
        low: int,
        high: int,
        what: str = "number",
        default: int | _Required = REQUIRED,
    ) -> int:
        """A whole number in `low..high`; `what` is its name in the message."""
        return self._get(key, default, low, lambda value: _ranged(value, low, high, what))

    def get_enum(self, key: str, kind: type[E], default: E | _Required = REQUIRED) -> E:
        return self._get(key, default, next(iter(kind)), lambda value: _member(value, kind))

    def get_value(
        self,
        key: str,
        parse: Callable[[str], T],
        stand_in: T,
        default: T | _Required = REQUIRED,
    ) -> T:
        """A string that `parse` turns into a value; what its ValueError says becomes the fault."""
        return self._get(
            key, default, stand_in, lambda value: parse(_typed(value, str, "a string"))
        )

    def get_object(self, key: str) -> Reader:
        """The object at a key that must be there; guard with `has` where it may be absent."""
        return self._child(self._get(key, REQUIRED, _ABSENT, _anything), self._at(key))

    def get_objects(self, key: str) -> list[Reader]:
        return [self._child(value, path) for path, value in self._items(key)]

    def get_list(self, key: str) -> list[object]:
        """A list as it is: whoever takes it looks at every item, and at its keys, himself."""
        return self._get(key, REQUIRED, [], _list)

    def get_strings(self, key: str) -> tuple[str, ...]:
        return self.get_values(key, str)

    def get_ints(self, key: str, low: int, high: int, what: str = "number") -> tuple[int, ...]:
        values: list[Any] = self._get(key, REQUIRED, [], _list)
        if all_of(int, values) and all_within(values, low, high):
            return tuple(values)  # all at once, for there may be many
        return self._parsed(key, lambda value: _ranged(value, low, high, what))

    def get_columns(self, key: str, kinds: Mapping[str, type]) -> list[list[Any]] | None:
        """A long list of like objects at once: the values at each name of `kinds`, all of its type, as one list per
        name. None where an object differs; `get_objects` then finds what is wrong with it.
        """
        objects: list[Any] = self._get(key, REQUIRED, [], _list)
        if not all_of(dict, objects) or set(map(len, objects)) - {len(kinds)}:
            return None
        try:
            columns = [list(map(itemgetter(name), objects)) for name in kinds]
        except KeyError:
            return None
        fit = all(all_of(kind, column) for kind, column in zip(kinds.values(), columns))
        return columns if fit else None

    def get_values(self, key: str, parse: Callable[[str], T]) -> tuple[T, ...]:
        """A list of strings, each turned into a value by `parse`."""
        return self._parsed(key, lambda value: parse(_typed(value, str, "a string")))

    def get_map(self, key: str) -> dict[str, str]:
        """An object that maps names of any kind to strings, like labels."""
        child = self.get_object(key)
        return {name: child.get_str(name) for name in child.names()}

    def names(self) -> list[str]:
        """All keys of this object, for objects whose keys are data."""
        return list(self._object or ())

    def refuse_unread(self) -> None:
        """Note every key nobody asked for, here and below."""
        for key in self.names():
            if key not in self._asked:
                self.fault("", f"unknown key {show(key)}{did_you_mean(key, self._asked)}")
        for child in self._children:
            child.refuse_unread()

    def _get(
        self, key: str, default: T | _Required, stand_in: T, parse: Callable[[object], T]
    ) -> T:
        self._asked[key] = None
        value = _ABSENT if self._object is None else self._object.get(key, _ABSENT)
        if value is not _ABSENT:
            try:
                return parse(value)
            except ValueError as exc:
                self.fault(key, str(exc))
                return stand_in
        if not isinstance(default, _Required):
            return default
        if self._object is not None:  # what is no object was reported as such, once
            self.fault(key, "is missing")
        return stand_in

    def _items(self, key: str) -> list[tuple[str, object]]:
        values: list[object] = self._get(key, REQUIRED, [], _list)
        return [(f"{self._at(key)}[{index}]", value) for index, value in enumerate(values)]

    def _parsed(self, key: str, parse: Callable[[object], T]) -> tuple[T, ...]:
        found: list[T] = []
        for path, value in self._items(key):
            try:
                found.append(parse(value))
            except ValueError as exc:
                self._problems.append(f"{path}: {exc}")
        return tuple(found)

    def _child(self, value: object, path: str) -> Reader:
        child = Reader(value, path, self._problems)
        self._children.append(child)
        return child

    def _at(self, key: str) -> str:
        return f"{self.path}.{key}" if self.path and key else self.path or key


def show(value: object) -> str:
    """A value as JSON for a message, cut where it gets long; nothing in it can move a terminal's cursor."""
    text = json.dumps(value, ensure_ascii=False, default=repr)
    if not text.isprintable():
        text = json.dumps(value, default=repr)
    return text if len(text) <= 60 else text[:57] + "..."


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """The end of a message about an unknown word: what was probably meant, or else what there is if that is little."""
    choices = list(known)
    listed = f" (known: {', '.join(choices)})" if 0 < len(choices) <= 12 else ""
    return probably_meant(word, choices) or listed


def probably_meant(word: str, known: Iterable[str]) -> str:
    """The end of a message that has said what is allowed."""
    from difflib import get_close_matches  # late: only who has made a mistake needs it

    near = [choice for choice in known if abs(len(choice) - len(word)) <= 3]
    close = get_close_matches(word, near, n=1)
    return f" (did you mean {show(close[0])}?)" if close else ""


def all_of(kind: type, values: Iterable[object]) -> bool:
    """Whether every value is of that very type: true is no int here."""
    return set(map(type, values)) <= {kind}


def all_within(values: Sequence[int], low: int, high: int) -> bool:
    return not values or low <= min(values) <= max(values) <= high


def _typed(value: object, kind: type[T], what: str) -> T:
    if not isinstance(value, kind):
        raise ValueError(f"{show(value)} is not {what}")  # noqa: TRY004 - a fault of a value
    return value


def _ranged(value: object, low: int, high: int, what: str) -> int:
    # JSON's true is Python's 1
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise ValueError(f"{show(value)} is not a {what} ({low}-{high})")
    return value


def _member(value: object, kind: type[E]) -> E:
    for member in kind:
        if member.value == value and type(member.value) is type(value):
            return member
    allowed = [str(member.value) for member in kind]
    raise ValueError(f"{show(value)} is not one of {', '.join(allowed)}")


def _anything(value: object) -> object:
    return value


def _list(value: object) -> list[object]:
    return _typed(value, list, "a list")


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError(f"duplicate key {show(_first_repeated(pairs))}")
    return found


def _first_repeated(pairs: list[tuple[str, object]]) -> str:
    seen: set[str] = set()
    for name, _ in pairs:
        if name in seen:
            break
        seen.add(name)
    return name


def _refuse_constant(text: str) -> object:
    raise ValueError(f"{text} is not a JSON number")
