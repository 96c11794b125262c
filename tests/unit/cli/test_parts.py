"""A command imports what its own verb needs, and is read as if all verbs were there."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tcmicro_agent.cli import output
from tcmicro_agent.cli.parser import leaves, parser
from tcmicro_agent.cli.parts import NOUNS, PARTS, function

ROOM = Path(output.__file__).parent
ALL = dict(leaves(parser()))
WRITE_THEMSELVES = {  # as they go, or in forms of their own
    *("Error", "TracedFlow"),
    *("PolicyDiff", "PolicyGraph", "PolicyDescription", "HostDescription"),
    *("PolicyExplanation", "PolicyTestResults"),
}


@pytest.mark.parametrize("part", PARTS, ids=lambda part: f"{part.noun} {part.verbs[0]}")
def test_a_part_adds_the_verbs_that_it_is_called_by(part):
    words = [part.noun] if part.noun else []
    for verb in part.verbs:
        found = [path for path, _ in leaves(parser([*words, verb]))]
        assert found == [(*words, name) for name in part.verbs]


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_a_verb_says_the_same_alone_and_among_all(path):
    [alone] = [verb for words, verb in leaves(parser(path)) if words == path]
    assert alone.format_help() == ALL[path].format_help()


@pytest.mark.parametrize("words", [(), ("-h",), ("policy",), ("policy", "-h"), ("polcy", "apply")])
def test_what_calls_no_verb_is_told_of_all(words):
    assert dict(leaves(parser(words))).keys() == ALL.keys()


def test_every_noun_has_verbs():
    assert {part.noun for part in PARTS} - {""} == set(NOUNS)


@pytest.mark.parametrize("kind", output.TEXT)
def test_what_writes_a_kind_is_there(kind):
    assert callable(function(output.TEXT[kind]))


def kinds() -> Iterator[str]:
    """Of the documents that verbs make."""
    for path in ROOM.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and node.args:
                called, first = node.func, node.args[0]
                name = getattr(called, "attr", None) or getattr(called, "id", None)
                if name == "document" and isinstance(first, ast.Constant):
                    yield str(first.value)


@pytest.mark.parametrize("kind", sorted(set(kinds())))
def test_every_kind_can_be_shown_to_eyes(kind):
    assert kind in output.TEXT or kind in WRITE_THEMSELVES


LEFT_OUT = {
    "policy apply": ("prometheus_client", "pyroute2", "concurrent", "tcmicro_agent.upkeep"),
    "run": ("prometheus_client", "tcmicro_agent.live", "tcmicro_agent.importers"),
    "policy validate": ("ansible", "tcmicro_agent.importers", "tcmicro_agent.report"),
}


@pytest.mark.parametrize("verb", LEFT_OUT)
def test_a_verb_imports_nothing_of_others(verb):
    program = (
        "import sys\nfrom tcmicro_agent.cli.parser import parser\n"
        f"parser({verb.split()!r})\nprint(*sys.modules, sep=chr(10))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOM.parents[1], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert not set(done.stdout.split()) & set(LEFT_OUT[verb])
