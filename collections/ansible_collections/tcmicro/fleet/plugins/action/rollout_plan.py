# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plan a rollout, once, on the controller; fail when it must not start."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.tcmicro.fleet.plugins.plugin_utils import artifacts
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.planner import plan as rollout
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.planner import stages

ERRORS = (artifacts.ArtifactError, rollout.RolloutError, stages.WaveError)


class ActionModule(ActionBase):
    BYPASS_HOST_LOOP = True
    TRANSFERS_FILES = False
    _requires_connection = False

    def run(
        self, tmp: str | None = None, task_vars: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        _, args = self.validate_argument_spec(
            {
                "release": {"type": "raw", "required": True},
                "artifacts_dir": {"type": "path", "required": True},
                "hosts": {"type": "list", "elements": "str", "required": True},
                "waves": {"type": "raw", "default": list(stages.DEFAULT)},
                "bake": {"type": "raw", "default": 60},
                "allow_missing": {"type": "raw", "default": 0},
                "allow_unsigned": {"type": "bool", "default": False},
                "seen": {"type": "dict"},
            }
        )
        try:
            result.update(self._plan(args))
        except ERRORS as exc:
            raise AnsibleActionFail(str(exc)) from exc
        return result

    def _plan(self, args: dict[str, Any]) -> dict[str, Any]:
        bake = rollout.whole_number("bake", args["bake"], least=0)
        allowed = rollout.whole_number("allow_missing", args["allow_missing"], least=0)
        stages.parse(args["waves"])
        found = artifacts.find(args["release"], Path(args["artifacts_dir"]))
        if not args["allow_unsigned"]:
            artifacts.refuse_unsigned(found.values())
        if args["seen"] is None:
            return {"changed": False, "bake": bake}
        plan = rollout.plan(args["seen"], args["hosts"], args["waves"], allowed)
        return {
            "changed": False,
            "bake": bake,
            "ready": list(plan.ready),
            "missing": dict(plan.missing),
            "waves": list(plan.waves),
            "wave_of": plan.wave_of(),
            "table": plan.table(args["release"], bake),
        }
