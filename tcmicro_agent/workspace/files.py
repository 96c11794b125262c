"""Which files hold policies, and their texts."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tcmicro_agent.policy.codes import Code
from tcmicro_agent.policy.problems import Problems, Where
from tcmicro_agent.policy.source.nodes import MAX_LENGTH

DIRECTORY = "policies"
SUFFIXES = (".yml", ".yaml")
MOST_BYTES = 4 * MAX_LENGTH + 1  # of any text that the parser does not refuse as too long


@dataclass(frozen=True)
class Files:
    """Texts and paths by name: that of the directory, a slash, and the way below it. So names, which bundles carry,
    are the same wherever the checkout lies."""

    texts: Mapping[str, str]
    paths: Mapping[str, Path]


def policy_directories(inventories: Sequence[str]) -> tuple[Path, ...]:
    """`policies/` beside each of the inventories, or else the one here."""
    found = [_beside(Path(inventory)) for inventory in inventories if "," not in inventory]
    there = tuple(dict.fromkeys(path for path in found if path.is_dir()))
    return there or (Path(DIRECTORY),)


def read_files(paths: Sequence[Path]) -> Files:
    """The *.yml and *.yaml files below directories, and files by themselves; hidden ones are passed over.
    PolicyError with every one that cannot be read."""
    problems = Problems()
    named = _named([found for path in paths for found in _found(path, problems)])
    texts = {name: _text(path, problems) for name, path in named.items()}
    problems.raise_any()
    return Files(texts, named)


def replace_text(path: Path, text: str) -> None:
    """The whole new content or the old one, with the same permissions; a link stays one."""
    target = path.resolve()
    handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(text.encode())
        shutil.copymode(target, temporary)
        os.replace(temporary, target)
    except BaseException:
        os.unlink(temporary)
        raise


def _beside(inventory: Path) -> Path:
    return (inventory if inventory.is_dir() else inventory.parent) / DIRECTORY


def _found(path: Path, problems: Problems) -> list[tuple[str, Path]]:
    """Names and paths of the files that one argument means."""
    if path.is_file():
        return [(f"{path.resolve().parent.name}/{path.name}", path)]
    if not path.is_dir():
        what = "is neither a file nor a directory" if path.exists() else "does not exist"
        problems.add(Where(str(path)), Code.UNREADABLE, what)
        return []
    base = path.resolve().name
    found = [(f"{base}/{file.relative_to(path).as_posix()}", file) for file in _below(path)]
    if not found:
        text = "holds no *.yml; to lift every policy, leave one empty file there"
        problems.add(Where(str(path)), Code.UNREADABLE, text)
    return found


def _below(directory: Path) -> Iterator[Path]:
    """In order of their names, depth first. A link to a directory is not followed: it may lead back up."""
    for here, directories, files in os.walk(directory):
        directories[:] = sorted(name for name in directories if not name.startswith("."))
        for name in sorted(files):
            if name.endswith(SUFFIXES) and not name.startswith("."):
                yield Path(here, name)


def _named(found: Sequence[tuple[str, Path]]) -> dict[str, Path]:
    """Each file once; files of one name in several directories are named by their whole path."""
    distinct = {path.resolve(): (name, path) for name, path in reversed(found)}
    pairs = list(reversed(distinct.values()))
    uses = Counter(name for name, _ in pairs)
    return {name if uses[name] == 1 else str(path): path for name, path in pairs}


def _text(path: Path, problems: Problems) -> str:
    """What is not UTF-8 is kept as surrogates, which the parser refuses by line and column."""
    try:
        with path.open("rb") as file:
            return file.read(MOST_BYTES).decode("utf-8", errors="surrogateescape")
    except OSError as exc:
        problems.add(Where(str(path)), Code.UNREADABLE, f"cannot be read: {exc.strerror}")
        return ""
