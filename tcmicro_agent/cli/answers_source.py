"""Where policies come from: files, directories, and directories as they were in a git revision."""

from __future__ import annotations

import argparse
import subprocess
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from tcmicro_agent.cli.authoring import controller_part
from tcmicro_agent.errors import PolicyError

if TYPE_CHECKING:
    from tcmicro_agent.policy.intent import Policy, PolicyTest

SUFFIXES = (".yml", ".yaml")


def load(args: argparse.Namespace) -> Any:
    """The Workspace that the arguments name."""
    controller_part("files")
    from tcmicro_agent.workspace import load

    return load(args.policies, args.inventory, args.hosts_group)


def load_inventory(args: argparse.Namespace) -> Any:
    inventories = controller_part("inventories")
    sources = tuple(args.inventory) or inventories.default_inventories()
    return inventories.read_inventory(sources, args.hosts_group)


def load_tests(workspace: Any) -> Sequence[PolicyTest]:
    from tcmicro_agent.policy.source import parse_documents

    tests = parse_documents(workspace.texts.items()).tests
    if not tests:
        raise PolicyError([f"no PolicyTest in {', '.join(workspace.texts) or 'no file'}"])
    return tests


def load_policies(place: str) -> tuple[Policy, ...]:
    """Those of a path, or of `REVISION:PATH` in git."""
    from tcmicro_agent.policy.source import parse_policies

    revision, _, path = place.partition(":")
    if path and not Path(place).exists():
        return parse_policies(_texts_of(revision, path).items())
    return parse_policies(controller_part("files").read_files([Path(place)]).texts.items())


def _texts_of(revision: str, path: str) -> dict[str, str]:
    """The files below a directory in a revision, named as `workspace.files` names them."""
    base = PurePosixPath(path)
    tree = f"{revision}:./{path}" if not base.is_absolute() else f"{revision}:{path}"
    names = _git("ls-tree", "-r", "-z", "--name-only", tree).split("\0")
    wanted = [name for name in names if name.endswith(SUFFIXES) and not _hidden(name)]
    if not wanted:
        raise PolicyError([f"{revision}:{path}: holds no *.yml"])
    named = Path(path).resolve().name
    return {f"{named}/{name}": _git("show", f"{tree.rstrip('/')}/{name}") for name in wanted}


def _hidden(name: str) -> bool:
    return any(part.startswith(".") for part in PurePosixPath(name).parts)


def _git(*arguments: str) -> str:
    try:
        done = subprocess.run(["git", *arguments], capture_output=True, check=False, timeout=60)
    except (OSError, subprocess.TimeoutExpired) as exc:
        raise PolicyError([f"git {arguments[0]}: {exc}"]) from exc
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().removeprefix("fatal: ")
        raise PolicyError([f"{arguments[-1]}: {said}"])
    return done.stdout.decode("utf-8", errors="surrogateescape")
