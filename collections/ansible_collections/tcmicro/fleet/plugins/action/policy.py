# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Controller part of policy: ship the bundle, then confirm over a connection that did not exist before."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from ansible.errors import (
    AnsibleActionFail,
    AnsibleAuthenticationFailure,
    AnsibleConnectionFailure,
    AnsibleError,
)
from ansible.plugins.action import ActionBase
from ansible_collections.tcmicro.fleet.plugins.plugin_utils import (
    prober,
    probes,
    signatures,
    vault,
)
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.confirmation import (
    Clock,
    ConnectionLostError,
    make_live,
)
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.policy_diff import difference

SHORTEST_S = 11
PROBE_S = 1.5  # how long an answer to a probe is waited for
LATER = {"renewed": "renew", "committed": "commit", "reverted": "revert"}
DAY_S = 86400
NEVER_CONNECTED = re.compile(
    r"ssh: connect to host|Could not resolve|Permission denied|Host key verification"
)


class ActionModule(ActionBase):
    TRANSFERS_FILES = False

    def run(
        self, tmp: str | None = None, task_vars: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        variables = task_vars or {}
        state = self._task.args.get("state", "present")
        if state in LATER:
            return {**result, **self._ask({"operation": LATER[state]}, variables)}
        within = deadline(self._task.args.get("confirm_within", 60))
        document, digest = read_bundle(self._task.args.get("bundle"))
        signature = self._signature(digest, variables["inventory_hostname"])
        handed = {"operation": "apply", "document": document, "signature": signature}

        def ask(operation: str, more: dict[str, Any]) -> dict[str, Any]:
            if operation == "apply":
                return self._apply(handed, variables)
            return self._ask_anew({"operation": operation, **more}, variables)

        shown: dict[str, Any] = {"probes": []}

        def prove(applied: dict[str, Any]) -> dict[str, Any]:
            shown["probes"] = self._probe(document, applied)
            return shown

        clock = Clock(now=time.monotonic, sleep=time.sleep)
        host = variables["inventory_hostname"]
        result.update(make_live(host, digest, within, ask, clock, prove))
        if shown["probes"]:
            result["probes"] = shown["probes"]
        result.pop("connection", None)
        live = result.pop("live", None)
        if self._task.diff and result.get("ops"):
            result["diff"] = difference(live, document, result["ops"], time.time())
        return result

    def _probe(self, document: str, applied: dict[str, Any]) -> list[dict[str, Any]]:
        """New connections to the host, of which its policy judges some; none where it was not reached by ssh."""
        way = applied.get("connection")
        if not way or applied["transaction"].get("evidence") != "required":
            return []
        bundle = probes.read(document, "the bundle")
        targets = probes.choose_probes(bundle, way["peer"], way["port"], time.time())
        asked = {
            "destination": way["local"],
            "targets": [target.to_document() for target in targets],
            "timeout_s": PROBE_S,
        }
        return knock(self._task.args.get("probe_via") or [], asked)

    def _signature(self, digest: str, host: str) -> str:
        """The signature file of the bundle, by the key that was named; "" when none was."""
        path = self._task.args.get("signing_key")
        if not path:
            return ""
        valid_s = validity(self._task.args.get("valid_s", DAY_S))
        try:
            sign = signatures.signer(vault.read(self._loader, path), path)
            return signatures.policy_signature(digest, host, int(time.time()), valid_s, sign)
        except (OSError, AnsibleError, signatures.SigningError) as exc:
            raise AnsibleActionFail(f"signing_key: {exc}") from exc

    def _apply(self, args: dict[str, Any], variables: dict[str, Any]) -> dict[str, Any]:
        """A host that was never reached is unreachable; one that fell silent under the policy is not."""
        try:
            return self._ask(args, variables)
        except AnsibleAuthenticationFailure:
            raise
        except AnsibleConnectionFailure as exc:
            if NEVER_CONNECTED.search(str(exc)):
                raise
            raise ConnectionLostError(str(exc)) from exc

    def _ask_anew(self, args: dict[str, Any], variables: dict[str, Any]) -> dict[str, Any]:
        """Ask over a new connection: a master that ControlPersist kept open would prove nothing."""
        try:
            self._connection.reset()
            self._connection._shell.tmpdir = None
            return self._ask(args, variables)
        except AnsibleConnectionFailure as exc:
            raise ConnectionLostError(str(exc)) from exc

    def _ask(self, args: dict[str, Any], variables: dict[str, Any]) -> dict[str, Any]:
        answer: dict[str, Any] = self._execute_module(
            module_name="tcmicro.fleet.policy",
            module_args={**self._task.args, **args},
            task_vars=variables,
        )
        return answer


def knock(via: list[str], asked: dict[str, Any]) -> list[dict[str, Any]]:
    """What came of probes, made by a process of its own; none where that cannot be run: the host then says what it lacks."""
    argv = [*map(str, via), sys.executable, prober.__file__]
    try:
        done = subprocess.run(
            argv,
            input=json.dumps(asked),
            capture_output=True,
            text=True,
            timeout=PROBE_S + 10,
            check=False,
        )
        found = json.loads(done.stdout or "[]")
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return []
    return found if isinstance(found, list) else []


def deadline(seconds: Any) -> int:
    if not (str(seconds).isdigit() and int(seconds) >= SHORTEST_S):
        raise AnsibleActionFail(
            f"confirm_within: {seconds!r} is not a number of seconds from {SHORTEST_S}: "
            "a new connection must fit into it"
        )
    return int(seconds)


def validity(seconds: Any) -> int:
    if not (str(seconds).isdigit() and int(seconds) > 0):
        raise AnsibleActionFail(f"valid_s: {seconds!r} is not a number of seconds from 1")
    return int(seconds)


def read_bundle(path: Any) -> tuple[str, str]:
    """The text of the bundle and its digest, if it is one."""
    if not path:
        raise AnsibleActionFail("bundle: missing; name a file that tcmicro.fleet.bundles wrote")
    try:
        text = Path(path).read_text()
        document = json.loads(text)
        kind, digest = document.get("kind"), document.get("digest")
    except (OSError, ValueError, AttributeError) as exc:
        raise AnsibleActionFail(f"bundle: {path} cannot be read as a bundle: {exc}") from exc
    if kind != "Bundle" or not isinstance(digest, str):
        raise AnsibleActionFail(
            f"bundle: {path} is of kind {kind!r}, allowed is 'Bundle' with its digest"
        )
    return text, digest
