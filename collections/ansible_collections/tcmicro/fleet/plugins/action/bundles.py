# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Resolve the policies over the inventory, once, on the controller; all faults at once and nothing written then."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible_collections.tcmicro.fleet.plugins.plugin_utils import whole_file
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.once import OnceAction

from tcmicro_agent.errors import PolicyError
from tcmicro_agent.policy.bundle import Writer
from tcmicro_agent.policy.inventory import parse_inventory
from tcmicro_agent.policy.inventory_facts import inventory_document
from tcmicro_agent.policy.model import Bundle
from tcmicro_agent.policy.resolve import resolve
from tcmicro_agent.policy.source import parse_policies
from tcmicro_agent.workspace.files import read_files


class ActionModule(OnceAction):
    ARGUMENTS = {
        "policies": {"type": "path", "required": True},
        "directory": {"type": "path", "default": "build/bundles"},
        "hosts_group": {"type": "str", "default": "tcmicro"},
    }

    def act(self, args: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        hosts = _members(task_vars, args["hosts_group"])
        try:
            policies = parse_policies(_sources(Path(args["policies"])))
            document = inventory_document(task_vars["hostvars"], hosts)
            bundles = resolve(policies, parse_inventory(document))
        except PolicyError as exc:
            raise AnsibleActionFail(exc.message) from exc
        directory = None if self._task.check_mode else Path(args["directory"])
        digests = _write_all(directory, bundles)
        return {"bundles": digests, "directory": args["directory"]}


def _members(variables: Mapping[str, Any], group: str) -> list[str]:
    members = variables.get("groups", {}).get(group)
    if not members:
        raise AnsibleActionFail(f"hosts_group: the inventory has no group {group!r} with hosts")
    return list(members)


def _sources(directory: Path) -> Iterable[tuple[str, str]]:
    """Names and texts of the policy files."""
    if not directory.is_dir():
        raise AnsibleActionFail(f"policies: {directory} is not a directory")
    return read_files([directory]).texts.items()


def _write_all(directory: Path | None, bundles: Mapping[str, Bundle]) -> dict[str, str]:
    """The digests by host; without a directory nothing is written. One text at a time: a fleet's fill no memory."""
    writer, digests = Writer(), {}
    try:
        if directory:
            directory.mkdir(parents=True, exist_ok=True)
        for host, bundle in bundles.items():
            text = writer.write(bundle)
            digests[host] = text.digest
            if directory:
                _write(directory / f"{text.digest}.json", text.content)
    except OSError as exc:
        raise AnsibleActionFail(f"directory: {exc.filename or directory}: {exc.strerror}") from exc
    return digests


def _write(path: Path, content: bytes) -> None:
    """Whole or not at all; a file that is there already is left alone."""
    if path.is_file() and path.read_bytes() == content:
        return
    whole_file.write(path, content)
