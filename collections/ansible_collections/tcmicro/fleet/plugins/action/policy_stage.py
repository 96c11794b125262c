# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Controller part of policy_stage: sign the bundle and hand it over."""

from __future__ import annotations

from typing import Any

from ansible_collections.tcmicro.fleet.plugins.action.policy import ActionModule as PolicyAction
from ansible_collections.tcmicro.fleet.plugins.action.policy import read_bundle


class ActionModule(PolicyAction):
    def run(
        self, tmp: str | None = None, task_vars: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        variables, args = task_vars or {}, dict(self._task.args)
        if args.get("state", "staged") == "staged":
            document, digest = read_bundle(args.get("bundle"))
            signature = self._signature(digest, variables["inventory_hostname"])
            args.update(document=document, signature=signature)
        result: dict[str, Any] = self._execute_module(
            module_name="tcmicro.fleet.policy_stage", module_args=args, task_vars=variables
        )
        return result
