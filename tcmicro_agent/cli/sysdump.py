"""The verb that packs what a fault's report needs: `tc-micro sysdump`."""

from __future__ import annotations

import argparse
import os
import re
import time
from pathlib import Path
from typing import Any

from tcmicro_agent import sysdump
from tcmicro_agent.cli import verbs
from tcmicro_agent.cli.arguments import Adder, examples, positive
from tcmicro_agent.documents import document
from tcmicro_agent.errors import RefusedError

EXAMPLES = """State, findings, counters, configuration, interfaces, routes and filters, programs and maps, the
kernel's facts and the last lines of the journal, in one tar.gz that only you can read. Tokens and
keys are left out; addresses and names of this host are in it. contents.json lists what is there,
what is not, and why. Nothing is sent anywhere.

examples:
  tc-micro sysdump
  tc-micro sysdump --out /tmp/web1.tar.gz --max-mb 5 --since 2h
  tc-micro sysdump --bundles            # who may talk to whom, too

exit codes:
  0 done   3 the file is there already
"""


def add_verb(add: Adder) -> None:
    dump = add("sysdump", write, "one file with what a report of a fault needs, without secrets")
    examples(dump, EXAMPLES)
    dump.add_argument(
        "--out", type=Path, metavar="FILE", help="default: tcmicro-HOST-TIME.tar.gz, here"
    )
    dump.add_argument(
        "--max-mb", type=positive, default=25, metavar="N", help="the file is never larger (25)"
    )
    dump.add_argument(
        "--since", type=_span, default="24h", metavar="TIME", help="of the journal: 30m, 2h (24h)"
    )
    dump.add_argument("--bundles", action="store_true", help="the kept policies, too")


def write(args: argparse.Namespace) -> verbs.Result:
    here = verbs.agent()
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    path = args.out or Path(f"tcmicro-{os.uname().nodename}-{stamp}.tar.gz")
    if path.exists():
        raise RefusedError(f"{path} is there already", hint="name another with --out")
    try:
        done = sysdump.write(here, path, args.max_mb << 20, bundles=args.bundles, since=args.since)
    except OSError as exc:
        raise RefusedError(f"{path}: {exc.strerror}") from exc
    return document("Sysdump", **done), 0


def text(doc: dict[str, Any]) -> str:
    lines = [f"left out: {row['what']}: {row['why']}" for row in doc["left_out"]]
    secrets = (
        f"{doc['redactions']} secrets were taken out" if doc["redactions"] else "no secrets met"
    )
    lines.append(f"{doc['file']}: {doc['bytes']} bytes, {len(doc['files'])} files, {secrets}")
    return "\n".join(lines)


def _span(value: str) -> str:
    if not re.fullmatch(r"[1-9][0-9]{0,4}[mhd]", value):
        raise argparse.ArgumentTypeError(f"{value!r} is not a time such as 30m, 2h or 3d")
    return value
