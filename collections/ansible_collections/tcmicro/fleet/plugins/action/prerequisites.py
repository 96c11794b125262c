# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Controller part of prerequisites: hand the host the agent's own preflight, as this environment has it."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase


class ActionModule(ActionBase):
    TRANSFERS_FILES = False

    def run(
        self, tmp: str | None = None, task_vars: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        result.update(
            self._execute_module(
                module_name="tcmicro.fleet.prerequisites",
                module_args={**self._task.args, "script": preflight_source()},
                task_vars=task_vars,
            )
        )
        return result


def preflight_source() -> str:
    """Text of tcmicro_agent/preflight.py."""
    try:
        spec = find_spec("tcmicro_agent.preflight")
    except ModuleNotFoundError:
        spec = None
    if spec is None or spec.origin is None:
        raise AnsibleActionFail(
            "the Python that runs Ansible cannot import tcmicro_agent; run make setup and use .venv/bin/ansible-playbook"
        )
    return Path(spec.origin).read_text()
