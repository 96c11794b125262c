"""The verbs, options and words of a parser as plain values: completion and the manual page are made of them."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass

FILES = {"FILE", "PATH", "DIR", "INVENTORY", "OLD", "NEW"}  # metavars of what is a file


@dataclass(frozen=True)
class Option:
    """`value`: its metavar, "" for one that takes none."""

    names: tuple[str, ...]
    value: str
    choices: tuple[str, ...]
    help: str


@dataclass(frozen=True)
class Word:
    """A positional argument."""

    name: str
    choices: tuple[str, ...]
    help: str


@dataclass(frozen=True)
class Node:
    """The words up to here, and what may follow."""

    path: tuple[str, ...]
    help: str
    verbs: tuple[tuple[str, str], ...]
    options: tuple[Option, ...]
    words: tuple[Word, ...]
    usage: str
    epilog: str


def nodes(parser: argparse.ArgumentParser, path: tuple[str, ...] = ()) -> Iterator[Node]:
    """The command itself, then every noun and verb, depth first."""
    groups = [a for a in parser._actions if isinstance(a, argparse._SubParsersAction)]
    texts = {
        choice.dest: choice.help or "" for group in groups for choice in group._choices_actions
    }
    yield Node(
        path=path,
        help=parser.description or "",
        verbs=tuple((name, texts.get(name, "")) for group in groups for name in group.choices),
        options=tuple(_option(a) for a in parser._actions if a.option_strings),
        words=tuple(
            Word(str(a.metavar or a.dest), _choices(a), _help(a))
            for a in parser._actions
            if not a.option_strings and a not in groups
        ),
        usage=" ".join(parser.format_usage().split()[1:]),
        epilog=parser.epilog or "",
    )
    for group in groups:
        for name, child in group.choices.items():
            yield from nodes(child, (*path, name))


def _option(action: argparse.Action) -> Option:
    value = ""
    if action.nargs != 0:
        value = str(action.metavar or "|".join(_choices(action)) or action.dest.upper())
    return Option(tuple(action.option_strings), value, _choices(action), _help(action))


def _choices(action: argparse.Action) -> tuple[str, ...]:
    return tuple(map(str, action.choices or ()))


def _help(action: argparse.Action) -> str:
    return (action.help or "").replace("%%", "%")
