"""All verbs, noun by noun. Help, completion and the manual page are made of what is said here."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from tcmicro_agent.cli.formats import FORMATS
from tcmicro_agent.cli.parts import NOUNS, PARTS, Part, function
from tcmicro_agent.version import VERSION

if TYPE_CHECKING:  # generic for the type checker only
    from tcmicro_agent.cli.arguments import Adder

    Verbs = argparse._SubParsersAction[argparse.ArgumentParser]

NAME = "tc-micro"
DESCRIPTION = "Micro-segmentation of this host: what is enforced, by which rule, and until when."
EXIT_CODES = """exit codes:
  0 done   1 failed   2 usage   3 refused or not fit, nothing changed; of questions: no   4 undecidable
  6 invalid input   7 another change is under way   8 unconfirmed and taken back   130 ended by Ctrl-C

examples:
  tc-micro status
  tc-micro doctor
  tc-micro top
  tc-micro policy apply db1.json --confirm-within 60
  tc-micro policy stage db1.json && tc-micro policy differences
  tc-micro policy validate -i inventories/prod
  tc-micro policy explain web1 db1:5432/tcp -i inventories/prod
  tc-micro explain 10.0.1.7 self:5432/tcp
  tc-micro session list --limit 20 -o jsonl | jq .remote
  tc-micro event follow --reason default_deny --seconds 60

environment:
  NO_COLOR   set to anything: no colours (https://no-color.org)
"""


def parser(words: Sequence[str] = (), parts: Sequence[Part] = PARTS) -> argparse.ArgumentParser:
    """All verbs; or, where a command line begins with `words`, those of the one part it calls, which reads it alike."""
    whole = argparse.ArgumentParser(
        prog=NAME,
        description=DESCRIPTION,
        epilog=EXIT_CODES if parts is PARTS else None,  # its examples are of hosts, too
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    whole.add_argument("--version", action="version", version=f"{NAME} {VERSION}")
    verb = whole.add_subparsers(required=True, metavar="VERB", prog=NAME)
    adders = {"": _adder(verb)}
    for part in [part for part in parts if part.is_called_by(words)] or parts:
        if part.noun not in adders:
            adders[part.noun] = _adder(_group(verb, part.noun))
        function(part.adder)(adders[part.noun])
    for _, leaf in leaves(whole):
        _add_output(leaf)
    return whole


def _group(verb: Verbs, noun: str) -> Verbs:
    text = NOUNS[noun]
    group = verb.add_parser(noun, help=text, description=text)
    # by name: to find it out, argparse would format a help and import half of the archive formats for it
    return group.add_subparsers(required=True, metavar="VERB", prog=f"{NAME} {noun}")


def leaves(
    parent: argparse.ArgumentParser, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], argparse.ArgumentParser]]:
    """Every verb by the words that call it, in the order they were added."""
    groups = [a for a in parent._actions if isinstance(a, argparse._SubParsersAction)]
    if not groups:
        yield path, parent
    for group in groups:
        for name, child in group.choices.items():
            yield from leaves(child, (*path, name))


def _adder(verb: Verbs) -> Adder:
    """A function that adds one verb: name, what runs it, its one line of help."""

    def add(name: str, run: object, text: str) -> argparse.ArgumentParser:
        added = verb.add_parser(name, help=text, description=text)
        added.set_defaults(verb=run)
        return added

    return add


def _add_output(verb: argparse.ArgumentParser) -> None:
    """-o for every verb that has no forms of its own; --json for all."""
    verb.add_argument("--json", action="store_true", help="one JSON document on stdout")
    if "-o" not in verb._option_string_actions:
        verb.add_argument(
            *("-o", "--output"),
            choices=FORMATS,
            default="table",
            help="default: table, for eyes; jsonl: an item a line",
        )
