# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Controller part of agent_release: verify the artifact here, ask the host, send it only where it is missing, and
confirm the release over a connection that did not exist before."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.module_utils.parsing.convert_bool import boolean
from ansible.plugins.action import ActionBase
from ansible_collections.tcmicro.fleet.plugins.plugin_utils import artifacts, signatures


class ActionModule(ActionBase):
    TRANSFERS_FILES = True

    def run(
        self, tmp: str | None = None, task_vars: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        args = dict(self._task.args)
        found = self._artifacts(args) if args.get("state", "present") == "present" else {}
        args["digests"] = {arch: artifact.digest for arch, artifact in found.items()}
        missing = artifacts.missing(found, args.get("version", ""), args.pop("look", None) or {})
        if missing and not self._task.check_mode:
            args.update(self._send(missing))
        ask = self._ask_anew if args.get("state") == "confirmed" else self._ask
        answer = ask(args, task_vars)
        arch = answer.pop("needs_artifact", None)
        if arch is not None:
            sent = self._send(found.get(arch) or found[artifacts.ANY_ARCH])
            answer = self._ask({**args, **sent}, task_vars)
        if answer.get("transaction") and boolean(args.get("confirm", True)):
            answer = self._confirm(args, answer, task_vars)
        result.update(answer)
        return result

    def _confirm(
        self, args: dict[str, Any], answer: dict[str, Any], task_vars: dict[str, Any] | None
    ) -> dict[str, Any]:
        """Whoever cannot get in any more, or finds the release unwell, leaves it to the host to go back."""
        confirmed = self._ask_anew({**args, "state": "confirmed"}, task_vars)
        if confirmed.get("failed"):
            return confirmed
        steps = [*answer.get("steps", []), *confirmed.get("steps", [])]
        return {**answer, "steps": steps, "transaction": None}

    def _ask_anew(self, args: dict[str, Any], task_vars: dict[str, Any] | None) -> dict[str, Any]:
        """A master that ControlPersist kept open would prove nothing."""
        self._connection.reset()
        self._connection._shell.tmpdir = None
        return self._ask(args, task_vars)

    def _artifacts(self, args: dict[str, Any]) -> dict[str, artifacts.Artifact]:
        try:
            if args.get("artifact"):
                return {artifacts.ANY_ARCH: artifacts.load(Path(args["artifact"]))}
            return artifacts.find(args.get("version", ""), Path(args.get("artifacts_dir", "build")))
        except artifacts.ArtifactError as exc:
            raise AnsibleActionFail(str(exc)) from exc

    def _send(self, artifact: artifacts.Artifact) -> dict[str, str]:
        """Where the artifact, its signature and what verifies it were put, by argument of the module."""
        place, join = self._make_tmp_path(), self._connection._shell.join_path
        sent = {"src": join(place, artifact.path.name)}
        self._transfer_file(str(artifact.path), sent["src"])
        if artifact.signature:
            sent["signature"] = join(place, artifact.signature.name)
            self._transfer_file(str(artifact.signature), sent["signature"])
            sent["verifier"] = join(place, "verify.pyz")
            self._transfer_data(sent["verifier"], signatures.verifier(sources()))
        return sent

    def _ask(self, args: dict[str, Any], task_vars: dict[str, Any] | None) -> dict[str, Any]:
        answer: dict[str, Any] = self._execute_module(
            module_name="tcmicro.fleet.agent_release", module_args=args, task_vars=task_vars
        )
        return answer


def sources() -> dict[str, str]:
    """Texts of the agent's modules that verify signatures, as this environment has them."""
    package = files("tcmicro_agent")
    return {name: package.joinpath(f"{name}.py").read_text() for name in signatures.VERIFIER}
