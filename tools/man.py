"""The manual page tc-micro(1), made of the parser: part of the artifact."""

from __future__ import annotations

import argparse
import re
import sys
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path

from tcmicro_agent.cli.grammar import Node, Option, nodes
from tcmicro_agent.cli.parser import parser
from tcmicro_agent.version import VERSION

WIDTH = 72  # of source lines; the reader's terminal decides how wide they are shown
FILES = (
    ("/etc/tcmicro/agent.json", "the configuration of this host"),
    ("/etc/tcmicro/keys/policy/*.pem", "whose signatures of policies count"),
    ("/var/lib/tcmicro/", "bundles, books and transactions"),
    ("/sys/fs/bpf/tcmicro/", "programs and maps in the kernel"),
    ("/opt/tcmicro/current", "the release that runs"),
)


def page(version: str = VERSION) -> str:
    """roff of man(7). Options that every verb has are said once."""
    found = list(nodes(parser()))
    top, verbs = found[0], [node for node in found if not node.verbs]
    shared = [o for o in verbs[0].options if o.names[0] in ("-h", "--json", "-o")]
    lines = [
        f'.TH TC-MICRO 1 "" "tcmicro {escape(version)}" "tcmicro"',
        ".SH NAME",
        r"tc-micro \- micro-segmentation of this host",
        ".SH SYNOPSIS",
        r".B tc-micro",
        '.IR VERB " [" OPTION "]..."',
        ".SH DESCRIPTION",
        *paragraph(top.help),
        ".PP",
        *paragraph(
            "Verbs that look at or change this host need root; those about policy files do not."
        ),
        ".SH OPTIONS OF EVERY VERB",
        *(line for option in shared for line in option_lines(option)),
        ".SH VERBS",
        *(line for node in verbs for line in verb_lines(node)),
        ".SH EXIT STATUS AND EXAMPLES",
        *verbatim(top.epilog)[1:],
        ".SH FILES",
        *(line for path, text in FILES for line in (".TP", rf".I {escape(path)}", escape(text))),
    ]
    return "\n".join(lines) + "\n"


def verb_lines(node: Node) -> Iterator[str]:
    words = " ".join(word.name for word in node.words)
    yield f'.SS "{escape(" ".join(("tc-micro", *node.path, words))).strip()}"'
    yield from paragraph(node.help)
    for word in node.words:
        if word.help:
            yield from (".TP", rf".I {escape(word.name)}", *guarded(word.help))
    for option in node.options:
        if option.names[0] not in ("-h", "--json", "-o") or option.choices[:1] == ("text",):
            yield from option_lines(option)
    if node.epilog:
        yield from verbatim(node.epilog)


def option_lines(option: Option) -> Iterator[str]:
    names = ", ".join(rf"\fB{escape(name)}\fR" for name in option.names)
    value = rf" \fI{escape(option.value)}\fR" if option.value else ""
    yield from (".TP", f"{names}{value}", *guarded(option.help))


def paragraph(text: str) -> Sequence[str]:
    return guarded(text)


def verbatim(text: str) -> Sequence[str]:
    """As it is written, narrow enough or not; a blank line parts it from what is above."""
    return (
        ".PP",
        ".nf",
        *map(_guarded, text.rstrip().splitlines()),
        ".fi",
    )


def guarded(text: str) -> Sequence[str]:
    """Text in lines that begin no request, whatever they begin with."""
    return [_guarded(line) for line in textwrap.wrap(text, WIDTH) or [""]]


def _guarded(line: str) -> str:
    safe = escape(line)
    return rf"\&{safe}" if safe[:1] in (".", "'", "") else safe


def escape(text: str) -> str:
    return re.sub(r"-", r"\\-", text.replace("\\", r"\e"))


def main(argv: Sequence[str] | None = None) -> int:
    options = argparse.ArgumentParser(prog="python -m tools.man", description=__doc__)
    options.add_argument("file", type=Path, nargs="?", help="default: stdout")
    chosen = options.parse_args(argv)
    if chosen.file:
        chosen.file.write_text(page())
    else:
        sys.stdout.write(page())
    return 0


if __name__ == "__main__":
    sys.exit(main())
