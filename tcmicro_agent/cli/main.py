"""One verb per call, and the one place where errors become exit codes."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from tcmicro_agent.cli import output
from tcmicro_agent.cli.formats import FORMATS
from tcmicro_agent.cli.parser import parser
from tcmicro_agent.cli.parts import PARTS, Part
from tcmicro_agent.errors import TcmicroError

INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None, parts: Sequence[Part] = PARTS) -> int:
    """Runs one verb of these parts; returns the exit code."""
    words = sys.argv[1:] if arguments is None else arguments
    args = parser(words, parts).parse_args(words)
    args.json = args.json or (args.output in FORMATS and args.output != "table")
    try:
        document, code = args.verb(args)
        if document:
            output.show(document, _form(args))
    except TcmicroError as error:
        output.show_error(error, _form(args))
        return error.exit_code
    except BrokenPipeError:  # whoever read has seen enough; there is no place for what is left
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return INTERRUPTED
    return int(code)


def _form(args: argparse.Namespace) -> str:
    """How stdout is written. Verbs with forms of their own say by `json` that they gave a document."""
    if args.output in FORMATS and args.output != "table":
        return str(args.output)
    return "json" if args.json else "table"


if __name__ == "__main__":
    sys.exit(main())
