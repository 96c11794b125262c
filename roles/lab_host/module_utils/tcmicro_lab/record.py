"""The record file `lab.json`, written before the first act: `absent` removes what stands in it and nothing else."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .model import Act, Kind, Lab, LabError, Medium

SCHEMA = 1
NAME = "lab.json"


def dump(lab: Lab) -> str:
    document = {
        "schema": SCHEMA,
        "directory": str(lab.directory),
        "inventory": str(lab.inventory),
        "roots": list(lab.roots),
        "hosts": lab.hosts,
        "media": [[medium.host, medium.image, medium.directory] for medium in lab.media],
        "acts": [[act.kind.value, act.target] for act in lab.acts],
    }
    return json.dumps(document, indent=1) + "\n"


def parse(text: str, where: Path) -> Lab:
    """Reads a record back; anything unexpected is refused, since removing follows what it says."""
    try:
        document: dict[str, Any] = json.loads(text)
        if document["schema"] != SCHEMA:
            raise LabError(f"{where}: schema is {document['schema']}, this version reads {SCHEMA}: "
                           "run lab_state=absent with the version that made the lab")  # fmt: skip
        lab = Lab(
            directory=Path(document["directory"]),
            inventory=Path(document["inventory"]),
            roots=tuple(document.get("roots") or [document["root"]]),
            hosts=document["hosts"],
            media=tuple(Medium(*words) for words in document.get("media", ())),
            acts=tuple(Act(Kind(kind), target) for kind, target in document["acts"]),
        )
    except (ValueError, KeyError, TypeError) as fault:
        raise LabError(f"{where}: not a lab record ({fault!r})") from fault
    if lab.directory != where.parent:
        raise LabError(
            f"{where}: is the record of {lab.directory}: the directory was moved or copied "
            "while a lab was up; move it back and run lab_state=absent"
        )
    if strange := [str(act) for act in lab.acts if not _ours(act, lab)]:
        raise LabError(f"{where}: names what is not this lab's: {', '.join(strange)}")
    return lab


def _ours(act: Act, lab: Lab) -> bool:
    """Paths lie in the lab's directory, names begin with the lab's name; only then is removing safe."""
    if act.kind in (Kind.MACHINE, Kind.VM) or act.target in (
        lab.name,
        str(lab.sockets),
        str(lab.inventory),
    ):
        return True
    inside = act.target.startswith((f"{lab.name}/", f"{lab.directory}/"))
    return inside and ".." not in act.target.split("/")


def read(directory: Path) -> Lab | None:
    path = directory / NAME
    try:
        return parse(path.read_text(), path)
    except FileNotFoundError:
        return None


def write(lab: Lab) -> None:
    lab.directory.mkdir(parents=True, exist_ok=True)
    write_file(lab.directory / NAME, dump(lab))


def remove(directory: Path) -> None:
    (directory / NAME).unlink(missing_ok=True)


def write_file(path: Path, text: str, mode: int = 0o644) -> None:
    """Whole or not at all: temporary file in the same directory, fsync, rename."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.new")
    with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "w") as file:
        os.fchmod(file.fileno(), mode)
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


@contextlib.contextmanager
def lock(directory: Path, wait: float) -> Iterator[None]:
    """One change of a lab at a time; the kernel drops the lock with the process that held it."""
    directory.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + wait
    with open(directory / "lock", "a+") as file:
        while not _locked(file.fileno()):
            if time.monotonic() > deadline:
                raise LabError(f"{file.name}: another lab command still runs after {wait:.0f} s: "
                               "wait for it to end, then try again")  # fmt: skip
            time.sleep(0.2)
        yield


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
