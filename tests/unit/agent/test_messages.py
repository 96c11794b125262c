"""What the agent logs comes from its catalogue, all of it, and nothing in the catalogue is never said."""

from __future__ import annotations

import ast
import re
import string
from collections.abc import Iterator
from pathlib import Path

import pytest

from tcmicro_agent import messages
from tcmicro_agent.messages import CATALOGUE, Event, Message

ROOT = Path(__file__).resolve().parents[3] / "tcmicro_agent"
OWN = ROOT / "messages.py"
NAMES = {name for name, value in vars(messages).items() if isinstance(value, Message)}
# What people read on a terminal is no log: the command line prints, and two programs stand alone.
PRINTING = ("cli", "preflight.py", "guard.py", "verify.py", "journal.py")


def sources() -> Iterator[tuple[str, ast.Module]]:
    for path in sorted(ROOT.rglob("*.py")):
        if path != OWN:
            yield str(path.relative_to(ROOT)), ast.parse(path.read_text())


def used(tree: ast.Module) -> set[str]:
    """Names taken out of the module `messages`."""
    return {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "messages"
    }


def outside(tree: ast.Module) -> list[str]:
    """Ways to log that go past the catalogue."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            modules = [getattr(node, "module", None), *(alias.name for alias in node.names)]
            found += [name for name in modules if name in ("logging", "syslog", "warnings")]
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in ("print", "sys.stderr.write"):
            found.append(ast.unparse(node.func))
        elif isinstance(node, ast.Call) and ast.unparse(node.func) == "Event":
            found.append("an event of no message")
    return found


def test_every_message_is_said_somewhere():
    assert {name for _, tree in sources() for name in used(tree) if name in NAMES} == NAMES


def test_nothing_is_logged_outside_the_catalogue():
    found = {name: outside(tree) for name, tree in sources() if not name.startswith(PRINTING)}
    assert {name: ways for name, ways in found.items() if ways} == {}


@pytest.mark.parametrize(
    "source",
    [
        "import logging",
        "from logging import getLogger",
        "print('x')",
        "import sys\nsys.stderr.write('x')",
        "Event(None, {})",
    ],
)
def test_the_checker_catches(source):
    assert outside(ast.parse(source))


def test_codes_and_ids_are_each_of_one_message():
    assert len({message.code for message in CATALOGUE}) == len(CATALOGUE) == len(NAMES)
    assert len({message.id for message in CATALOGUE}) == len(CATALOGUE)
    for message in CATALOGUE:
        assert re.fullmatch(r"TCMA[0-9]{4}", message.code)
        assert re.fullmatch(r"[0-9a-f]{32}", message.id)
        assert message.advice


def test_ids_stay_what_people_search_for():
    assert messages.PUT_BACK.code == "TCMA0302"
    assert messages.PUT_BACK.id == "21cb8c533d0dea64b253b1ae1b2dd015"
    assert messages.STARTED.id == "22a9fa297c1e9df67247ece8d093b658"


@pytest.mark.parametrize("message", CATALOGUE, ids=lambda message: message.code)
def test_an_event_is_its_text_with_its_fields(message):
    names = [name for _, name, _, _ in string.Formatter().parse(message.text) if name]
    event = message(**dict.fromkeys(names, "x y"))
    assert isinstance(event, Event)
    assert event == message.text.format(**dict.fromkeys(names, "x y"))
    assert set(event.fields) == set(names)
    assert event.message is message
