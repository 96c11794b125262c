# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Judge a wave, once, on the controller. Never fails: the verdict is data, stopping is the playbook's."""

from __future__ import annotations

from typing import Any

from ansible.plugins.action import ActionBase
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.gate import Evidence, judge, table


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
                "hosts": {"type": "list", "elements": "str", "required": True},
                "release": {"type": "str", "required": True},
                "seconds": {"type": "int", "default": 0},
                "before": {"type": "dict", "required": True},
                "after": {"type": "dict", "required": True},
                "failures": {"type": "dict", "default": {}},
            }
        )
        hosts = args.pop("hosts")
        verdict = judge(hosts, Evidence(**args))
        result.update(
            changed=False,
            verdict=verdict.outcome.value,
            passed=verdict.outcome.value == "pass",
            reasons=[f"{reason.host}: {reason.text}" for reason in verdict.reasons],
            table=table(hosts, verdict),
        )
        return result
