# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Directories, files and links as somebody wants them: what is wrong with that, what has to change, and the change.

Everything but `look` and `carry_out` is pure. Paths are absolute; a file's text is UTF-8.
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from ansible_collections.tcmicro.fleet.plugins.module_utils.atomic import point, replace_file

DIRECTORY, FILE, LINK, OTHER = "directory", "file", "link", "special file"
MODES = {DIRECTORY: 0o755, FILE: 0o644}
REPLACED = {DIRECTORY: (DIRECTORY,), FILE: (FILE, LINK), LINK: (FILE, LINK)}  # wanted: may be there


Owner = tuple[int, int]  # numbers of user and group


class Wanted(NamedTuple):
    """Files by path with their text, links with their targets; `only` names directories that hold nothing else,
    `absent` what goes with all that is below."""

    directories: list[str]
    files: dict[str, str]
    links: dict[str, str]
    only: list[str]
    absent: list[str]


class Entry(NamedTuple):
    """What a path is. `text` is a file's content or a link's target; mode and owner are None where they do not matter."""

    kind: str
    text: str = ""
    mode: int | None = None
    owner: Owner | None = None


class Change(NamedTuple):
    """Of one path; None is nothing."""

    path: str
    before: Entry | None
    after: Entry | None


Found = Mapping[str, Entry]


def faults(wanted: Wanted) -> list[str]:
    """What is wrong with the wish itself, all of it."""
    paths = [*wanted.directories, *wanted.files, *wanted.links]
    above = {parent for path in paths for parent in _parents(path)}
    return [
        *(
            f"{p}: is no absolute path in its shortest form"
            for p in [*paths, *wanted.absent]
            if not _plain(p)
        ),
        *(
            f"{path}: {text!r} is no text"
            for path, text in [*wanted.files.items(), *wanted.links.items()]
            if not isinstance(text, str)
        ),
        *(f"{p}: is wanted more than once" for p in sorted(set(paths)) if paths.count(p) > 1),
        *(
            f"{p}: is wanted as a file or link, and as a directory of others"
            for p in [*wanted.files, *wanted.links]
            if p in above
        ),
        *(
            f"absent: {p} is wanted, or something below it"
            for p in wanted.absent
            if p in {*paths, *above}
        ),
        *(
            f"only: {p} is none of the directories"
            for p in wanted.only
            if p not in wanted.directories
        ),
    ]


def entries(wanted: Wanted, owner: Owner) -> dict[str, Entry]:
    """What every path shall be, parents before children. A parent that is only passed through stays as it is."""
    named = {
        path: Entry(DIRECTORY, mode=MODES[DIRECTORY], owner=owner) for path in wanted.directories
    }
    for path, text in wanted.files.items():
        named[path] = Entry(FILE, text, MODES[FILE], owner)
    for path, target in wanted.links.items():
        named[path] = Entry(LINK, target)
    passed = {parent: Entry(DIRECTORY) for path in named for parent in _parents(path)}
    return dict(sorted({**passed, **named}.items()))


def obstacles(shall: Mapping[str, Entry], found: Found) -> list[str]:
    """What is in the way and not ours to remove, all of it."""
    return [
        f"{path}: is a {found[path].kind}, a {entry.kind} is wanted: move it away"
        for path, entry in shall.items()
        if path in found and found[path].kind not in REPLACED[entry.kind]
    ]


def plan(wanted: Wanted, shall: Mapping[str, Entry], found: Found) -> list[Change]:
    """First what goes, children before parents; then what comes or changes, parents before children."""
    gone = [
        Change(path, there, None)
        for path, there in sorted(found.items(), reverse=True)
        if path in wanted.absent
        or (path not in shall and any(parent in wanted.only for parent in _parents(path)))
    ]
    return gone + [
        Change(path, found.get(path), entry)
        for path, entry in shall.items()
        if path not in found or _differs(found[path], entry)
    ]


def worth_telling(changes: list[Change]) -> list[Change]:
    """Without parents that are only passed through: where an earlier task makes them, a rehearsal would name them twice."""
    return [change for change in changes if change.after != Entry(DIRECTORY)]


def differences(changes: list[Change]) -> list[dict[str, str]]:
    """As `--diff` shows them."""
    return [
        {
            "before_header": change.path,
            "after_header": change.path,
            "before": _as_text(change.before, change),
            "after": _as_text(change.after, change),
        }
        for change in changes
    ]


def look(wanted: Wanted, shall: Mapping[str, Entry]) -> Found:
    """What is there of what matters. A link to a directory serves as one where a directory is wanted."""
    paths = {path: entry.kind == DIRECTORY for path, entry in shall.items()}
    paths.update(dict.fromkeys(wanted.absent, False))
    for top in wanted.only:
        paths = {**dict.fromkeys(_below(top), False), **paths}
    seen = {path: _look(path, follow=follow) for path, follow in paths.items()}
    return {path: entry for path, entry in seen.items() if entry}


def carry_out(changes: list[Change], label: Callable[[str], object]) -> None:
    """One path after another, each whole or not at all. `label` gives a path what the host's policy says of it."""
    for path, before, after in changes:
        if after is None:
            (shutil.rmtree if before and before.kind == DIRECTORY else os.unlink)(path)
            continue
        if before is None or (before.kind, before.text) != (after.kind, after.text):
            _make(path, after)
        if after.mode is not None and after.owner is not None:
            os.chown(path, *after.owner)
            os.chmod(path, after.mode)
        label(path)


def _make(path: str, entry: Entry) -> None:
    if entry.kind == FILE:
        replace_file(Path(path), entry.text.encode(), MODES[FILE])
    elif entry.kind == LINK:
        point(Path(path), entry.text)
    else:
        os.mkdir(path)
        os.chmod(path, MODES[DIRECTORY])  # whatever the umask is


def _plain(path: str) -> bool:
    """Also no root: nobody means that."""
    return path != "/" and path[:2] != "//" and path[:1] == "/" and os.path.normpath(path) == path


def _parents(path: str) -> list[str]:
    return [str(parent) for parent in Path(path).parents][:-1]


def _differs(there: Entry, wanted: Entry) -> bool:
    same_marks = wanted.mode is None or (there.mode, there.owner) == (wanted.mode, wanted.owner)
    return (there.kind, there.text) != (wanted.kind, wanted.text) or not same_marks


def _as_text(entry: Entry | None, change: Change) -> str:
    if entry is None:
        return ""
    if change.before and change.after and change.before[:2] == change.after[:2]:
        return f"mode {entry.mode or 0:04o}, owner and group {entry.owner}\n"
    text = entry.text.encode(errors="surrogateescape").decode(errors="replace")
    return {FILE: text, LINK: f"link to {text}\n"}.get(entry.kind, f"{entry.kind}\n")


def _below(top: str) -> Iterator[str]:
    for room, directories, names in os.walk(top):
        yield from (os.path.join(room, name) for name in [*directories, *names])


def _look(path: str, *, follow: bool) -> Entry | None:
    try:
        state = os.stat(path, follow_symlinks=follow)
    except (FileNotFoundError, NotADirectoryError):
        return None if not os.path.islink(path) else Entry(LINK, os.readlink(path))
    marks = (stat.S_IMODE(state.st_mode), (state.st_uid, state.st_gid))
    if stat.S_ISDIR(state.st_mode):
        return Entry(DIRECTORY, "", *marks)
    if stat.S_ISLNK(state.st_mode):
        return Entry(LINK, os.readlink(path))
    if stat.S_ISREG(state.st_mode):
        return Entry(FILE, Path(path).read_text(encoding="utf-8", errors="surrogateescape"), *marks)
    return Entry(OTHER, "", *marks)
