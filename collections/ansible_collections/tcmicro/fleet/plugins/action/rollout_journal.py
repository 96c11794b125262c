# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Take a step of a rollout in its journal, once, on the controller."""

from __future__ import annotations

import os
import secrets
import sqlite3
import tempfile
import time
from pathlib import Path
from typing import Any

from ansible.utils.display import Display
from ansible_collections.tcmicro.fleet.plugins.plugin_utils import artifacts, tables, way_back
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.journal import (
    holding,
    lock,
    opening,
    steps,
)
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.journal.database import NAME
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.journal.journal import Journal
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.journal.states import JournalError
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.once import OnceAction

HERE = ("open", "open_back", "hold")  # the steps that need more than the journal
ARGUMENTS = {
    "step": {"type": "str", "required": True, "choices": [*HERE, *steps.STEPS]},
    "journal": {"type": "dict", "required": True},
    "hosts": {"type": "list", "elements": "str", "default": []},
    "looks": {"type": "dict", "default": {}},
    "results": {"type": "dict", "default": {}},
    "verdict": {"type": "dict", "default": {}},
    "plan": {"type": "dict", "default": {}},
    "wanted": {"type": "dict", "default": {}},
    "request": {"type": "dict", "default": {}},
    "extension": {"type": "int", "default": 0},
    "round": {"type": "dict", "default": {}},
    "domains": {"type": "dict"},
    "patience_s": {"type": "int", "default": 3600},
}


HEARING_S = 0.5
display = Display()


class ActionModule(OnceAction):
    ARGUMENTS = ARGUMENTS
    REFUSALS = (JournalError, artifacts.ArtifactError)

    def act(self, args: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        if args["domains"] is None:
            known = tables.of_hosts(
                args["hosts"], task_vars.get("hostvars", {}), way_back.VARIABLES
            )
            args["domains"] = way_back.domains(known)
        where = args.pop("journal")
        if args["step"] in OPENINGS:
            return self._open(args["step"], where, args["request"])
        journal = Journal(Path(where["directory"]), int(where["epoch"]))
        try:
            more = {"rollout": where["id"], "check": self._task.check_mode}
            given = {"asked": False, **where, **args, **more}
            if args["step"] == "hold":
                return self._held(journal, given)
            return steps.STEPS[args["step"]](journal, given)
        finally:
            journal.close()

    def _held(self, journal: Journal, given: dict[str, Any]) -> dict[str, Any]:
        """Wait while people hold the rollout, but not for ever, nor when the controller is gone."""
        hold = holding.in_front(journal, given)
        end, told = time.monotonic() + given["patience_s"], ""
        while (answer := holding.hear(journal, hold))["next"] == "wait":
            if time.monotonic() > end:
                why = f"{answer['why']}; nobody let it go on within {given['patience_s']} s"
                return holding.end(journal, hold, why)
            if answer["why"] != told:
                told = answer["why"]
                display.display(
                    f"held: {told} (tc-micro rollout resume|approve|abort {given['id']})"
                )
            time.sleep(HEARING_S)
            if os.getppid() != lock.controller():
                raise JournalError(lock.GONE)
        return answer

    def _open(self, step: str, where: dict[str, Any], request: dict[str, Any]) -> dict[str, Any]:
        """Take the turn. Whoever only checks writes to a copy."""
        directory = Path(where["directory"])
        if self._task.check_mode:
            directory = copied(directory)
        journal, problem = self._journal(directory, needed=step == "open")
        name = f"{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}-{secrets.token_hex(2)}"
        try:
            epoch = journal.claim(lock.controller())
            opened = OPENINGS[step](journal, where, request, name)
            fence = journal.database.fence(epoch)
            known = {"directory": str(journal.directory), "epoch": epoch, "fence": fence}
            hint = "; ".join(filter(None, [problem, opened["hint"]]))
            return {**opened, **known, "hint": hint, "digests": _digests(opened, request)}
        finally:
            journal.close()

    @staticmethod
    def _journal(directory: Path, *, needed: bool) -> tuple[Journal, str]:
        """The journal; for the way back another one, with what is wrong, where it cannot be used."""
        try:
            return Journal(directory), ""
        except JournalError as exc:
            if needed:
                raise
            return Journal(Path(tempfile.mkdtemp(prefix="tcmicro-rollback-"))), f"{exc}"


OPENINGS = {"open": opening.open_rollout, "open_back": opening.open_back}


def copied(directory: Path) -> Path:
    """A copy of the journal that nobody else finds."""
    place = Path(tempfile.mkdtemp(prefix="tcmicro-check-"))
    if (directory / NAME).exists():
        with sqlite3.connect(directory / NAME) as source, sqlite3.connect(place / NAME) as target:
            source.backup(target)
    return place


def _digests(opened: dict[str, Any], request: dict[str, Any]) -> dict[str, str]:
    """Digests of what is rolled out, by what it is; those of policies are known once they are resolved."""
    if opened.get("resume", True) or opened["kind"] != "release":
        return {}
    found = artifacts.find(opened["subject"], Path(request["artifacts_dir"]))
    return {artifact.path.name: artifact.digest for artifact in found.values()}
