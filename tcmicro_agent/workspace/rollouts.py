"""Rollouts in the journal of a controller, by the collection that wrote it; read, and spoken to."""

from __future__ import annotations

import getpass
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tcmicro_agent.errors import InputErrors, RefusedError

if TYPE_CHECKING:
    from ansible_collections.tcmicro.fleet.plugins.plugin_utils.journal.chain import Reading
    from ansible_collections.tcmicro.fleet.plugins.plugin_utils.journal.journal import Journal

FOLDER = ".rollouts"
COLLECTION = "ansible_collections.tcmicro.fleet.plugins.plugin_utils"


def journal_folder(named: Path | None) -> Path:
    """Where playbooks/canary.yml writes: the folder that is named, or `.rollouts` beside the inventory."""
    from tcmicro_agent.workspace.inventories import default_inventories

    if named is not None:
        return named
    beside = [Path(source) for source in default_inventories()]
    folders = [path if path.is_dir() else path.parent for path in beside]
    for folder in folders:
        if (folder / FOLDER).is_dir():
            return folder / FOLDER
    tried = ", ".join(str(folder / FOLDER) for folder in folders) or "no inventory is configured"
    raise InputErrors([f"there is no journal of rollouts: {tried}"], hint="name it with --dir")


@contextmanager
def opened(folder: Path) -> Iterator[Journal]:
    """The journal, for reading and for words to a rollout. What it does not allow is a RefusedError."""
    journals, states = _collection("journal.journal"), _collection("journal.states")
    if not (folder / "journal.db").is_file():
        raise InputErrors([f"{folder} holds no journal of rollouts"], hint="name it with --dir")
    try:
        journal = journals.Journal(folder)
        try:
            yield journal
        finally:
            journal.close()
    except states.JournalError as exc:
        raise RefusedError(str(exc)) from exc


def newest(journal: Journal, named: str) -> str:
    """The id that is named, be there one or not, or that of the newest."""
    if named:
        return named
    rows = journal.recent(1)
    if not rows:
        raise InputErrors([f"{journal.directory}: no rollout was begun yet"])
    return str(rows[0]["id"])


def listed(journal: Journal, number: int) -> list[dict[str, Any]]:
    """The newest rollouts, newest first."""
    export = _collection("journal.export")
    return [export.outline(dict(row)) for row in journal.recent(number)]


def record(journal: Journal, rollout: str, reading: Reading | None = None) -> dict[str, Any]:
    """The document `RolloutRecord`; `reading` goes on where the last one ended."""
    found: dict[str, Any] = _collection("journal.export").export(journal, rollout, reading)
    return found


def unread() -> Reading:
    """A journal of which nothing was read and verified yet."""
    reading: Reading = _collection("journal.chain").Reading()
    return reading


def say(journal: Journal, rollout: str, word: str, why: str, wave: int = 0) -> dict[str, Any]:
    """Pause, resume, approve or abort; under the name of who is logged in, also through sudo."""
    holds = _collection("journal.holds")
    who = os.environ.get("SUDO_USER") or getpass.getuser()
    said = holds.Said(holds.Word(word), who, why, wave, time.time())
    journal.say(rollout, said)
    return {"id": rollout, "said": str(said)}


def written(document: Mapping[str, Any], folder: Path) -> list[Path]:
    """The report as Markdown, HTML and JUnit, and the record itself."""
    return [Path(path) for path in _collection("report.files").write(document, folder)]


def text(document: Mapping[str, Any]) -> str:
    """The record for a terminal."""
    shown: str = _collection("report.terminal").text(_collection("report.record").parse(document))
    return shown


def _collection(module: str) -> Any:
    """A module of the installed collection, found as Ansible finds it."""
    from importlib import import_module

    from tcmicro_agent.workspace import ansible_core

    ansible_core.set_loader_up()
    try:
        return import_module(f"{COLLECTION}.{module}")
    except ModuleNotFoundError as exc:
        raise InputErrors(
            [f"the collection tcmicro.fleet is not installed here: {exc}"],
            hint="run this where ansible-playbook runs, with the same ansible.cfg",
        ) from exc
