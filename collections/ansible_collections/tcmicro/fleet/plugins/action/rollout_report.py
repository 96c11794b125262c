# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write the report of a rollout beside its journal and tell whoever wants to know, once, on the controller."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible.plugins.action import ActionBase
from ansible_collections.tcmicro.fleet.plugins.plugin_utils import notify
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.journal.export import export
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.journal.journal import Journal
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.journal.states import JournalError
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.report import files
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.report.markdown import markdown
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.report.record import (
    RecordError,
    parse,
)

SPEC = {
    "directory": {"type": "path", "required": True},
    "rollout": {"type": "str", "required": True},
    "webhook": {"type": "str", "default": "", "no_log": True},
    "command": {"type": "list", "elements": "str", "default": []},
}


class ActionModule(ActionBase):
    BYPASS_HOST_LOOP = True
    TRANSFERS_FILES = False
    _requires_connection = False

    def run(
        self, tmp: str | None = None, task_vars: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        _, args = self.validate_argument_spec(SPEC)
        if self._task.check_mode:
            return {**result, "changed": False, "skipped": True, "msg": "checked; no report"}
        folder = Path(args["directory"])
        try:
            journal = Journal(folder)
            try:
                document = export(journal, args["rollout"])
            finally:
                journal.close()
            written = files.write(document, folder / document["id"])
        except (JournalError, RecordError, OSError) as exc:
            lost = [f"the report was not written: {exc}"]
            return {**result, "changed": False, "files": [], "not_told": lost}
        troubles = [text for text in self._told(args, document) if text]
        return {**result, "changed": False, "files": written, "not_told": troubles}

    def _told(self, args: dict[str, Any], document: dict[str, Any]) -> list[str]:
        """What went wrong on the way to people."""
        troubles = []
        if args["webhook"]:
            troubles.append(notify.webhook(args["webhook"], notify.short(document)))
        if args["command"]:
            troubles.append(notify.command(args["command"], markdown(parse(document))))
        return troubles
