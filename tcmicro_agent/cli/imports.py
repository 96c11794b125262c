"""The verb that makes policies of another firewall's rules, `tc-micro policy import`. It needs no root and no agent."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from tcmicro_agent import store
from tcmicro_agent.cli import verbs
from tcmicro_agent.documents import document
from tcmicro_agent.errors import PolicyError
from tcmicro_agent.importers import draft, iptables, nftables
from tcmicro_agent.importers.draft import Import, LeftOut
from tcmicro_agent.policy.model import Mode

Adder = Callable[[str, object, str], argparse.ArgumentParser]
KINDS = ("nftables", "iptables", "kubernetes")
EXAMPLES = """What cannot be carried over is left out whole and listed on stderr with its place, the reason and its
effect; the list stands at the top of the policies too. Nothing is widened in silence. See docs/import.md.

examples:
  nft -j list ruleset | tc-micro policy import nftables - > policies/web.yml
  (iptables-save; ip6tables-save) | tc-micro policy import iptables - --name web > policies/web.yml
  kubectl get netpol -A -o yaml | tc-micro policy import kubernetes - --out policies/

exit codes:
  0 all carried over   3 something was left out   6 not readable
"""


def add_verb(add: Adder) -> None:
    verb = add(
        "import", policy_import, "policies out of another firewall's rules, and what they lack"
    )
    verb.epilog, verb.formatter_class = EXAMPLES, argparse.RawDescriptionHelpFormatter
    verb.add_argument("kind", choices=KINDS, metavar="KIND", help=", ".join(KINDS))
    verb.add_argument("file", metavar="FILE", help="- for standard input")
    verb.add_argument("--name", default="imported", help="of the policy (default: imported)")
    verb.add_argument(
        "--mode",
        choices=[m.value for m in Mode],
        default=Mode.MONITOR.value,
        help="default: monitor",
    )
    verb.add_argument(
        "--out", type=Path, metavar="DIR", help="a file for each policy; default: stdout"
    )


def policy_import(args: argparse.Namespace) -> verbs.Result:
    done = _read(args)
    files = _files(done, args)
    _check(files)
    for name, text in files.items() if args.out else ():
        store.write(args.out / name, text.encode(), mode=0o644)
    for found in done.report.left_out:
        print(f"not carried over: {found}", file=sys.stderr)
    for note in done.report.notes:
        print(f"note: {note}", file=sys.stderr)
    left_out = [_left_out(found) for found in done.report.left_out]
    said = document(
        "PolicyImport",
        policies=[policy.name for policy in done.policies],
        files=files,
        written=[str(args.out / name) for name in files] if args.out else [],
        left_out=left_out,
        notes=done.report.notes,
    )
    return said, verbs.NEGATIVE if left_out else 0


def _read(args: argparse.Namespace) -> Import:
    source = "standard input" if args.file == "-" else args.file
    try:
        text = sys.stdin.read() if args.file == "-" else Path(args.file).read_text()
    except (OSError, UnicodeDecodeError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) else "not UTF-8"
        raise PolicyError([f"{source}: {reason}"]) from exc
    if args.kind == "nftables":
        return nftables.read(text, args.name)
    if args.kind == "iptables":
        return iptables.read(text, args.name)
    from tcmicro_agent.importers import kubernetes  # late: hosts have no YAML library

    return kubernetes.read(text, source)


def _files(done: Import, args: argparse.Namespace) -> dict[str, str]:
    """Their texts by name; with the whole report in each."""
    what, mode = (
        f"{args.kind}, {'standard input' if args.file == '-' else args.file}",
        Mode(args.mode),
    )
    if not args.out:
        return {f"{args.name}.yml": draft.write(done, what, mode)}
    return {
        f"{policy.name}.yml": draft.write(replace(done, policies=(policy,)), what, mode)
        for policy in done.policies
    }


def _check(files: dict[str, str]) -> None:
    """What we write must be what we read."""
    from tcmicro_agent.policy.source import parse_policies

    parse_policies(files.items())


def _left_out(found: LeftOut) -> dict[str, str]:
    return {**vars(found), "effect": found.effect.name.lower()}


def text(doc: dict[str, Any]) -> str:
    if doc["written"]:
        return "\n".join(f"wrote {path}" for path in doc["written"])
    return "\n".join(doc["files"].values()).rstrip("\n")
