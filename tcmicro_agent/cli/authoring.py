"""The verbs about policies as people write them: `tc-micro policy validate|fmt`. They run anywhere, without root."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterable
from difflib import unified_diff
from importlib import import_module
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tcmicro_agent import abi
from tcmicro_agent.cli.results import NEGATIVE, Result
from tcmicro_agent.documents import document
from tcmicro_agent.errors import PolicyError, TcmicroError
from tcmicro_agent.policy.codes import Code, Severity
from tcmicro_agent.tuning import Tuning

if TYPE_CHECKING:
    from tcmicro_agent.policy.inventory import Address

Adder = Callable[[str, object, str], argparse.ArgumentParser]
INVALID = PolicyError.exit_code
VALIDATE_EXAMPLES = """Without -i only the files are read. With an inventory it is also checked whom the policies mean
and what they come to on each host. Every code is explained in docs/errors.md.

exit codes: 0 valid (there may be warnings), 6 invalid

examples:
  tc-micro policy validate                                  # the files in policies/
  tc-micro policy validate -i inventories/prod              # with the policies beside that inventory
  tc-micro policy validate policies/db.yml -i hosts.yml -i cloud.aws_ec2.yml --strict
  tc-micro policy validate -i inventories/prod -o sarif > policies.sarif
"""

FMT_EXAMPLES = """Keys, and lists whose order means nothing, in one order; one indentation; quotes where needed.
Comments, empty lines and the order of rules stay. The meaning is compared before a file is written.

exit codes: 0 done, 3 a file differs (--check), 6 invalid, nothing written

examples:
  tc-micro policy fmt                     # the files in policies/
  tc-micro policy fmt --check --diff      # in CI
"""


def add_verbs(add: Adder) -> None:
    validate = add("validate", policy_validate, "check policy files, and with -i what they come to")
    validate.epilog = VALIDATE_EXAMPLES
    validate.formatter_class = argparse.RawDescriptionHelpFormatter
    add_workspace(validate)
    validate.add_argument(
        *("-o", "--output"), choices=("text", "json", "sarif"), default="text", help="default: text"
    )
    validate.add_argument("--strict", action="store_true", help="warnings are errors")
    validate.add_argument(
        "--ignore",
        action="append",
        type=_warning,
        default=[],
        metavar="CODE",
        help="leave a warning out, as TCM3005; may be repeated",
    )
    validate.add_argument(
        "--controller",
        action="append",
        type=_address,
        default=[],
        metavar="ADDRESS",
        help="from where Ansible connects (default: as the inventory says): ssh from there must stay open",
    )
    sizes = Tuning()
    for name, default in (("hosts", sizes.hosts), ("rules", sizes.rules)):
        validate.add_argument(
            f"--table-{name}",
            type=int,
            default=default,
            metavar="N",
            help=f"policy.{name} of agent.json (default: {default})",
        )
    fmt = add("fmt", policy_fmt, "write policy files in the one way to write them")
    fmt.epilog, fmt.formatter_class = FMT_EXAMPLES, argparse.RawDescriptionHelpFormatter
    fmt.add_argument("paths", nargs="*", type=Path, metavar="PATH", help="default: policies/")
    fmt.add_argument("--check", action="store_true", help="write nothing; exit 3 if a file differs")
    fmt.add_argument("--diff", action="store_true", help="write nothing; show what would change")


def add_workspace(parser: argparse.ArgumentParser) -> None:
    """What names the policies and the hosts."""
    parser.add_argument(
        "paths",
        nargs="*",
        type=Path,
        metavar="PATH",
        help="files or directories (default: policies/ beside the inventory, or here)",
    )
    parser.add_argument(
        *("-i", "--inventory"),
        action="append",
        default=[],
        metavar="INVENTORY",
        help="as for ansible-playbook; may be repeated",
    )
    parser.add_argument(
        "--hosts-group",
        default="tcmicro",
        metavar="GROUP",
        help="the hosts that tcmicro is on (default: tcmicro)",
    )


def policy_validate(args: argparse.Namespace) -> Result:
    """Faults are what was asked for: they go to stdout, in the form asked for."""
    from tcmicro_agent.cli import diagnostics, sarif

    validation = controller_part("validation")
    found = validation.validate(args.paths, args.inventory, _limits(args), args.hosts_group)
    faults = [fault for fault in found.faults if fault.code not in args.ignore]
    rows = diagnostics.rows(faults, found.files.texts, found.files.paths)
    rows = diagnostics.strict(rows) if args.strict else rows
    hosts = len(found.inventory.hosts) if found.inventory else None
    checked = {
        "files": len(found.files.texts),
        "policies": len(found.policies),
        "inventories": list(args.inventory),
        "hosts": hosts,
    }
    doc = diagnostics.validation(rows, checked)
    args.json = args.json or args.output != "text"
    return (sarif.log(rows) if args.output == "sarif" else doc), 0 if doc["ok"] else INVALID


def policy_fmt(args: argparse.Namespace) -> Result:
    """All files are read before the first is written."""
    files = controller_part("files")
    found = files.read_files(args.paths or [Path(files.DIRECTORY)])
    wanted = controller_part("formatting").formatted(found)
    changed = [name for name, text in wanted.items() if text != found.texts[name]]
    keep = args.check or args.diff
    for name in changed if not keep else ():
        files.replace_text(found.paths[name], wanted[name])
    doc = document(
        "PolicyFormat",
        changed=[str(found.paths[name]) for name in changed],
        written=not keep,
        files=len(found.texts),
        diff=[
            line
            for name in (changed if args.diff else ())
            for line in _difference(str(found.paths[name]), found.texts[name], wanted[name])
        ],
    )
    return doc, NEGATIVE if args.check and changed else 0


def _difference(path: str, old: str, new: str) -> Iterable[str]:
    return unified_diff(
        old.splitlines(), new.splitlines(), path, f"{path} (formatted)", lineterm=""
    )


def controller_part(name: str) -> Any:
    """A module of `workspace`, which needs what a fleet host does not have."""
    try:
        return import_module(f"tcmicro_agent.workspace.{name}")
    except ModuleNotFoundError as exc:
        if (exc.name or "").startswith("tcmicro_agent"):
            raise
        text = f"{exc.name} is not installed here; policies are written where Ansible runs"
        raise TcmicroError(text, hint="pip install 'tcmicro[controller]'") from exc


def _limits(args: argparse.Namespace) -> Any:
    from tcmicro_agent.policy.checks import Limits

    return Limits(
        args.table_hosts,
        args.table_rules,
        abi.MAX_RULES,
        tuple(args.controller),
        now=int(time.time()),
    )


def _warning(text: str) -> Code:
    """An error cannot be left out."""
    codes = [code for code in Code if code.severity is Severity.WARNING]
    for code in codes:
        if code.value == text:
            return code
    known = ", ".join(code.value for code in codes)
    raise argparse.ArgumentTypeError(f"{text!r} is no warning ({known})")


def _address(text: str) -> Address:
    try:
        return ip_address(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not an IP address") from None
