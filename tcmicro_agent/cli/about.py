"""What is installed and where it hangs: `tc-micro version` and `tc-micro interfaces`."""

from __future__ import annotations

import argparse
import os
import platform
from typing import Any

from tcmicro_agent import abi, placement, preflight, release
from tcmicro_agent.cli import verbs
from tcmicro_agent.cli.arguments import Adder, examples
from tcmicro_agent.cli.table import table
from tcmicro_agent.documents import document
from tcmicro_agent.policy.model import BUNDLE_SCHEMA
from tcmicro_agent.version import VERSION

INTERFACES_EXAMPLES = """Programs are those of the kernel (bpftool prog show id N). Packets are what the link counted,
judged or not.

examples:
  tc-micro interfaces
  tc-micro interfaces -o json | jq -r '.unguarded[] | .name + ": " + .reason'

exit codes:
  0 every guarded interface has both programs   3 one lacks a program, or nothing is guarded
"""


def add_verbs(add: Adder) -> None:
    shown = add("interfaces", interfaces, "which interfaces are guarded, by which hook, which not")
    examples(shown, INTERFACES_EXAMPLES)
    add("version", version, "release, abi, kernel, Python: for a report of a fault")


def interfaces(_: argparse.Namespace) -> verbs.Result:
    here = verbs.agent()
    found = placement.document(here, here.store.config())
    complete = found["guarded"] and all(
        row[way]["present"] for row in found["guarded"] for way in ("ingress", "egress")
    )
    return found, 0 if complete else verbs.NEGATIVE


def version(_: argparse.Namespace) -> verbs.Result:
    """Needs neither root nor a loaded datapath."""
    return document("Version", **versions()), 0


def versions() -> dict[str, Any]:
    libbpf = preflight.libbpf_version()
    return {
        "release": VERSION,
        "abi": abi.ABI,
        "bundle_schema": BUNDLE_SCHEMA,
        "path": str(release.ROOT),
        "kernel": os.uname().release,
        "arch": platform.machine(),
        "python": platform.python_version(),
        "libbpf": preflight.dotted(libbpf) if libbpf else None,
    }


def version_text(doc: dict[str, Any]) -> str:
    shown = {key: value for key, value in doc.items() if key not in ("apiVersion", "kind")}
    return "\n".join(f"{name.replace('_', ' '):<14} {value}" for name, value in shown.items())


def interfaces_text(doc: dict[str, Any]) -> str:
    rows = [
        (
            row["name"],
            row["hook"],
            row["kind"],
            *(_program(row[way]) for way in ("ingress", "egress")),
            row["packets"]["received"],
            row["packets"]["sent"],
        )
        for row in doc["guarded"]
    ]
    header = ("GUARDED", "HOOK", "KIND", "INGRESS", "EGRESS", "RECEIVED", "SENT")
    parts = [table(header, rows) if rows else "nothing is guarded"]
    if doc["unguarded"]:
        others = [
            (r["name"], r["packets"]["received"], r["packets"]["sent"], r["reason"])
            for r in doc["unguarded"]
        ]
        parts.append(table(("NOT GUARDED", "RECEIVED", "SENT", "WHY"), others))
    return "\n\n".join(parts)


def _program(way: dict[str, Any]) -> str:
    if way["present"]:
        return f"program {way['program']}"
    return f"program {way['program']}, NOT OF THIS RELEASE" if way["program"] else "MISSING"
