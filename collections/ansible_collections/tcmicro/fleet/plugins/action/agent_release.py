# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Controller part of agent_release: verify the artifact here, ask the host, send it only where it is missing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.tcmicro.fleet.plugins.plugin_utils import artifacts


class ActionModule(ActionBase):
    TRANSFERS_FILES = True

    def run(
        self, tmp: str | None = None, task_vars: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        args = dict(self._task.args)
        found = self._artifacts(args) if args.get("state", "present") == "present" else {}
        args["digests"] = {arch: artifact.digest for arch, artifact in found.items()}
        answer = self._ask(args, task_vars)
        arch = answer.pop("needs_artifact", None)
        if arch is not None:
            sent = self._send(found.get(arch) or found[artifacts.ANY_ARCH])
            answer = self._ask({**args, "src": sent}, task_vars)
        result.update(answer)
        return result

    def _artifacts(self, args: dict[str, Any]) -> dict[str, artifacts.Artifact]:
        try:
            if args.get("artifact"):
                return {artifacts.ANY_ARCH: artifacts.load(Path(args["artifact"]))}
            return artifacts.find(args.get("version", ""), Path(args.get("artifacts_dir", "build")))
        except artifacts.ArtifactError as exc:
            raise AnsibleActionFail(str(exc)) from exc

    def _send(self, artifact: artifacts.Artifact) -> str:
        target = self._connection._shell.join_path(self._make_tmp_path(), artifact.path.name)
        self._transfer_file(str(artifact.path), target)
        return str(target)

    def _ask(self, args: dict[str, Any], task_vars: dict[str, Any] | None) -> dict[str, Any]:
        answer: dict[str, Any] = self._execute_module(
            module_name="tcmicro.fleet.agent_release", module_args=args, task_vars=task_vars
        )
        return answer
