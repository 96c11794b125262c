# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Refuse variables of the inventory or -e that nothing reads, once, on the controller; all of them in one message."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ansible import constants
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.once import OnceAction
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.variables import (
    VariableError,
    faults,
    report,
)

SPECS = "*/meta/argument_specs.yml"
# Beside playbooks and plugins where the collection was installed.
OWN_ROLES = Path(__file__).resolve().parents[2] / "roles"


class ActionModule(OnceAction):
    ARGUMENTS = {
        "hosts_group": {"type": "str", "default": "tcmicro"},
        "refuse": {"type": "bool", "default": True},
    }
    REFUSALS = (VariableError,)

    def act(self, args: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        members = task_vars.get("groups", {}).get(args["hosts_group"], ())
        found = self._unread(members, task_vars["hostvars"])
        if not found:
            return {"unread": []}
        if args["refuse"]:
            raise VariableError(report(found))
        return {"unread": found, "warnings": [report(found)]}

    def _unread(self, hosts: Iterable[str], hostvars: Mapping[str, Any]) -> list[str]:
        # names alone: nothing of what they hold is rendered
        return faults({host: list(hostvars[host]) for host in hosts}, set(self._options()))

    def _options(self) -> Iterator[str]:
        """Names of the options of all roles there are."""
        folders = [OWN_ROLES, *map(Path, constants.DEFAULT_ROLES_PATH)]
        specs = [path for folder in folders for path in sorted(folder.glob(SPECS))]
        if not specs:
            places = ", ".join(map(str, folders))
            raise VariableError(f"roles_path: no role with {SPECS} in {places}")
        for path in specs:
            for entry in self._loader.load_from_file(str(path))["argument_specs"].values():
                yield from entry.get("options") or ()
