# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Controller part of policy: ship the bundle, then confirm over a connection that did not exist before."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail, AnsibleConnectionFailure
from ansible.plugins.action import ActionBase
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.confirmation import (
    Clock,
    ConnectionLostError,
    confirm,
)

SHORTEST_S = 10


class ActionModule(ActionBase):
    TRANSFERS_FILES = False

    def run(
        self, tmp: str | None = None, task_vars: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        task_vars = task_vars or {}
        self._check_deadline(self._task.args.get("confirm_within", 60))
        document = read_bundle(self._task.args.get("bundle"))
        applied = self._ask({"operation": "apply", "document": document}, task_vars)
        if not applied.get("transaction"):
            return {**result, **applied}

        def ask(operation: str) -> dict[str, Any]:
            return self._ask_anew(
                {"operation": operation, "transaction": applied["transaction"]}, task_vars
            )

        clock = Clock(now=time.monotonic, sleep=time.sleep)
        final = confirm(task_vars["inventory_hostname"], applied, ask, clock)
        return {**result, **final}

    def _check_deadline(self, seconds: Any) -> None:
        if not (str(seconds).isdigit() and int(seconds) >= SHORTEST_S):
            raise AnsibleActionFail(
                f"confirm_within: {seconds!r} is not a number of seconds from {SHORTEST_S}: "
                "a new connection must fit into it"
            )

    def _ask_anew(self, args: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        """Ask over a new connection: a master that ControlPersist kept open would prove nothing."""
        try:
            self._connection.reset()
            self._connection._shell.tmpdir = None
            return self._ask(args, task_vars)
        except AnsibleConnectionFailure as exc:
            raise ConnectionLostError(str(exc)) from exc

    def _ask(self, args: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        answer: dict[str, Any] = self._execute_module(
            module_name="tcmicro.fleet.policy",
            module_args={**self._task.args, **args},
            task_vars=task_vars,
        )
        return answer


def read_bundle(path: Any) -> str:
    """The text of the bundle, if it is one."""
    if not path:
        raise AnsibleActionFail("bundle: missing; name a file that tcmicro.fleet.bundles wrote")
    try:
        text = Path(path).read_text()
        kind = json.loads(text).get("kind")
    except (OSError, ValueError, AttributeError) as exc:
        raise AnsibleActionFail(f"bundle: {path} cannot be read as a bundle: {exc}") from exc
    if kind != "Bundle":
        raise AnsibleActionFail(f"bundle: {path} is of kind {kind!r}, allowed is 'Bundle'")
    return text
