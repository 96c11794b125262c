# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write the report of a rollout beside its journal and tell whoever wants to know, once, on the controller."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible_collections.tcmicro.fleet.plugins.plugin_utils import notify
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.journal.export import export
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.journal.journal import Journal
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.journal.states import JournalError
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.once import OnceAction
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.report import files
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.report.record import RecordError

ARGUMENTS = {
    "directory": {"type": "path", "required": True},
    "rollout": {"type": "str", "required": True},
    "webhook": {"type": "str", "default": "", "no_log": True},
    "command": {"type": "list", "elements": "str", "default": []},
}


class ActionModule(OnceAction):
    ARGUMENTS = ARGUMENTS

    def act(self, args: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        if self._task.check_mode:
            return {"skipped": True, "msg": "checked; no report"}
        folder = Path(args["directory"])
        try:
            journal = Journal(folder)
            try:
                document = export(journal, args["rollout"])
            finally:
                journal.close()
            written = files.write(document, folder / document["id"])
        except (JournalError, RecordError, OSError) as exc:
            return {"files": [], "not_told": [f"the report was not written: {exc}"]}
        troubles = [text for text in self._told(args, document, Path(written[0])) if text]
        return {"files": written, "not_told": troubles}

    @staticmethod
    def _told(args: dict[str, Any], document: dict[str, Any], text: Path) -> list[str]:
        """What went wrong on the way to people."""
        troubles = []
        if args["webhook"]:
            troubles.append(notify.webhook(args["webhook"], notify.short(document)))
        if args["command"]:
            troubles.append(notify.command(args["command"], text.read_text(encoding="utf-8")))
        return troubles
