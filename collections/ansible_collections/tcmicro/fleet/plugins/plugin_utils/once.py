# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the actions have in common that run once, on the controller, whatever the hosts of the task."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase


class OnceAction(ActionBase):
    """`ARGUMENTS` is the argument spec; of `REFUSALS` the text is what the task fails with."""

    BYPASS_HOST_LOOP = True
    TRANSFERS_FILES = False
    _requires_connection = False
    ARGUMENTS: ClassVar[Mapping[str, Any]]
    REFUSALS: ClassVar[tuple[type[Exception], ...]] = ()

    def run(
        self, tmp: str | None = None, task_vars: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        _, args = self.validate_argument_spec(self.ARGUMENTS)
        try:
            return {**result, "changed": False, **self.act(args, task_vars or {})}
        except self.REFUSALS as exc:
            raise AnsibleActionFail(str(exc)) from exc

    def act(self, args: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        """What the task returns, besides `changed`."""
        raise NotImplementedError
