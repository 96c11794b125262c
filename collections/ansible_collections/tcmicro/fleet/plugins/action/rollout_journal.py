# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Take a step of a rollout in its journal, once, on the controller."""

from __future__ import annotations

import os
import secrets
import tempfile
import time
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.tcmicro.fleet.plugins.plugin_utils import artifacts
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.journal import (
    holding,
    opening,
    steps,
)
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.journal.journal import Journal
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.journal.states import JournalError

SPEC = {
    "step": {"type": "str", "required": True, "choices": ["open", "rollback", *steps.STEPS]},
    "journal": {"type": "dict", "required": True},
    "hosts": {"type": "list", "elements": "str", "default": []},
    "looks": {"type": "dict", "default": {}},
    "results": {"type": "dict", "default": {}},
    "verdict": {"type": "dict", "default": {}},
    "plan": {"type": "dict", "default": {}},
    "wanted": {"type": "dict", "default": {}},
    "request": {"type": "dict", "default": {}},
    "release": {"type": "raw"},
    "patience_s": {"type": "int", "default": 3600},
}


HEARING_S = 0.5
display = Display()


class ActionModule(ActionBase):
    BYPASS_HOST_LOOP = True
    TRANSFERS_FILES = False
    _requires_connection = False

    def run(
        self, tmp: str | None = None, task_vars: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        _, args = self.validate_argument_spec(SPEC)
        try:
            result.update(changed=False, **self._take(args))
        except (JournalError, artifacts.ArtifactError) as exc:
            raise AnsibleActionFail(str(exc)) from exc
        return result

    def _take(self, args: dict[str, Any]) -> dict[str, Any]:
        where = args.pop("journal")
        if args["step"] == "open":
            return self._open(where, args["request"])
        journal = Journal(Path(where["directory"]), int(where["epoch"]))
        try:
            given = {**where, **args, "rollout": where["id"], "check": self._task.check_mode}
            if args["step"] == "hold":
                return self._held(journal, given)
            return steps.STEPS[args["step"]](journal, given)
        finally:
            journal.close()

    def _held(self, journal: Journal, given: dict[str, Any]) -> dict[str, Any]:
        """Wait while people hold the rollout, but not for ever."""
        end, told = time.monotonic() + given["patience_s"], ""
        while (answer := holding.hold(journal, given))["next"] == "wait":
            if time.monotonic() > end:
                why = f"{answer['why']}; nobody let it go on within {given['patience_s']} s"
                return holding.give_up(journal, given, why)
            if answer["why"] != told:
                told = answer["why"]
                display.display(
                    f"held: {told} (tc-micro rollout resume|approve|abort {given['id']})"
                )
            time.sleep(HEARING_S)
        return answer

    def _open(self, where: dict[str, Any], request: dict[str, Any]) -> dict[str, Any]:
        """Take the turn. Whoever only checks writes a journal that nobody finds."""
        if self._task.check_mode and not where.get("rollout"):
            where = {**where, "directory": tempfile.mkdtemp(prefix="tcmicro-check-")}
        name = f"{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}-{secrets.token_hex(2)}"
        journal = Journal(Path(where["directory"]))
        try:
            epoch = journal.claim(os.getppid())
            opened = opening.open_rollout(journal, where, request, name)
            return {
                **opened,
                "directory": str(where["directory"]),
                "epoch": epoch,
                "digests": _digests(opened, request),
            }
        finally:
            journal.close()


def _digests(opened: dict[str, Any], request: dict[str, Any]) -> dict[str, str]:
    """Digests of what is rolled out, by what it is; those of policies are known once they are resolved."""
    if opened["resume"] or opened["kind"] != "release":
        return {}
    found = artifacts.find(opened["subject"], Path(request["artifacts_dir"]))
    return {artifact.path.name: artifact.digest for artifact in found.values()}
