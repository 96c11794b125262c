"""Which modules of `tcmicro_agent` the plugins need, read from their import statements. Nothing is run."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from pathlib import Path

from tools.process import ToolError

PACKAGE = "tcmicro_agent"
# Sent to hosts as text (plugins/action/prerequisites.py, plugin_utils/signatures.py), so nothing imports them.
TEXTS = (f"{PACKAGE}.preflight", f"{PACKAGE}.verify")
# Run by scripts/tc-micro of the collection, which imports what is in this room by name.
COMMAND, ROOM = f"{PACKAGE}.cli.controller", f"{PACKAGE}/workspace"


def needed(source: Path, plugins: Path) -> dict[str, bytes]:
    """Files by their path below the package's parent, for all plugins and what they import in turn."""
    found: dict[str, bytes] = {}
    room = (f"{_module(Path(ROOM))}.{path.stem}" for path in (source / ROOM).glob("*.py"))
    waiting = {*TEXTS, COMMAND, *room, *_of_files(sorted(plugins.rglob("*.py")))}
    while waiting:
        path = _file(source, waiting.pop())
        if path is None or str(path) in found:
            continue
        found[str(path)] = (source / path).read_bytes()
        waiting |= {_module(path.parent), *_of_files([source / path])}
    _refuse_relative(found)
    return found


def _of_files(paths: Iterable[Path]) -> set[str]:
    return {name for path in paths for name in imported(path.read_text()) if _ours(name)}


def imported(text: str) -> Iterator[str]:
    """Dotted names that a module imports, wherever in the file; `from a import b` may mean a.b, or something in a."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _ours(name: str) -> bool:
    return name.partition(".")[0] == PACKAGE


def _file(source: Path, module: str) -> Path | None:
    """The file of a module, relative to the checkout; None for what is no module but a name in one."""
    path = Path(*module.split("."))
    for candidate in (path / "__init__.py", path.with_suffix(".py")):
        if (source / candidate).is_file():
            return candidate
    return None


def _module(folder: Path) -> str:
    return ".".join(folder.parts)


def _refuse_relative(files: dict[str, bytes]) -> None:
    """Relative imports are not followed above; the package has none."""
    for name, content in files.items():
        nodes = ast.walk(ast.parse(content))
        if any(isinstance(node, ast.ImportFrom) and node.level for node in nodes):
            raise ToolError(f"{name}: imports relatively; name the module from {PACKAGE} on")
