# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Groups of hosts by what a status run saw of them. Asks no host: see the documentation."""

from __future__ import annotations

DOCUMENTATION = r"""
name: state
short_description: Groups hosts by what they were seen to run
version_added: 0.1.0
author: The tcmicro developers (@tcmicro)
description:
  - Puts the hosts of the inventory into groups by their state as C(playbooks/status.yml) wrote it down, so that a play can be
    limited to those that need it. It asks no host, so it is as fast as a file and no newer than it.
  - Groups are C(tcmicro_state_release_0_1_0) (the process that runs), C(tcmicro_state_generation_3),
    C(tcmicro_state_policy_<first 12 of the digest>), C(tcmicro_state_mode_protect), C(tcmicro_state_pending) (a policy or release
    is on trial), C(tcmicro_state_drift), C(tcmicro_state_unwell) (no agent, or one that does not answer or run) and
    C(tcmicro_state_unreachable).
  - A host of which nothing is known that is younger than O(max_age) is in C(tcmicro_state_stale), and in no other of them.
  - What was seen is also in the host's variable C(tcmicro_state).
  - It adds no hosts, so it has to be read after the source that names them; of several files in a directory the order is that
    of their names. Policies cannot name these groups, which come and go with what they would change.
options:
  plugin:
    description: Names this plugin.
    type: str
    required: true
    choices: [tcmicro.fleet.state]
  file:
    description:
      - What C(playbooks/status.yml) wrote. A relative path is one beside this file.
      - Where it is not there every host is stale; one that cannot be read as such is refused.
    type: str
    default: .fleet-state.json
  max_age:
    description: Seconds for which a look at a host counts.
    type: int
    default: 900
  hosts_group:
    description: The group whose hosts have an agent.
    type: str
    default: tcmicro
seealso:
  - module: tcmicro.fleet.agent_info
"""

EXAMPLES = r"""
# inventories/production/tcmicro_state.yml, beside hosts.yml
plugin: tcmicro.fleet.state
max_age: 1800

# ansible-playbook playbooks/status.yml
# ansible-playbook playbooks/deploy.yml --limit 'tcmicro_state_unwell:tcmicro_state_stale'
"""

from datetime import datetime
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleParserError
from ansible.plugins.inventory import BaseInventoryPlugin
from ansible_collections.tcmicro.fleet.plugins.plugin_utils import fleet_state

from tcmicro_agent.jsonutil import loads

NAMES = ("tcmicro_state.yml", "tcmicro_state.yaml")


class InventoryModule(BaseInventoryPlugin):
    NAME = "tcmicro.fleet.state"

    def verify_file(self, path: str) -> bool:
        return bool(super().verify_file(path)) and path.endswith(NAMES)

    def parse(self, inventory: Any, loader: Any, path: str, cache: bool = True) -> None:  # noqa: FBT001, FBT002 - as Ansible has it
        super().parse(inventory, loader, path, cache)
        self._read_config_data(path)
        max_age = self.get_option("max_age")
        if max_age < 1:
            raise AnsibleParserError(
                f"{path}: max_age: {max_age} is not a number of seconds from 1"
            )
        states = self._states(Path(path).parent / self.get_option("file"))
        now = datetime.now(fleet_state.UTC)
        for host in self._hosts(path, self.get_option("hosts_group")):
            self._place(host.name, states.get(host.name), now, max_age)

    def _hosts(self, path: str, group: str) -> list[Any]:
        """Those that have an agent. None at all means that this file is read before the one that names them."""
        found = self.inventory.groups.get(group)
        hosts = found.get_hosts() if found else []
        if not hosts:
            raise AnsibleParserError(
                f"{path}: hosts_group: no group {group!r} with hosts is known yet; name the source that has it "
                "before this one"
            )
        return list(hosts)

    def _states(self, file: Path) -> dict[str, fleet_state.State]:
        try:
            document = loads(file.read_bytes(), fleet_state.StateError)
            return fleet_state.parse(document)
        except FileNotFoundError:
            self.display.warning(f"{file} is not there, so every host is stale: run status.yml")
            return {}
        except OSError as exc:
            raise AnsibleParserError(f"{file}: {exc.strerror}") from exc
        except fleet_state.StateError as exc:
            problems = "; ".join(exc.problems)
            raise AnsibleParserError(f"{file}: {problems}; remove it and run status.yml") from exc

    def _place(
        self, host: str, state: fleet_state.State | None, now: datetime, max_age: int
    ) -> None:
        for group in fleet_state.groups(state, now, max_age):
            self.inventory.add_group(group)
            self.inventory.add_child(group, host)
        if state is not None:
            seen = {**state.to_document(), "stale": not state.young(now, max_age)}
            self.inventory.set_variable(host, "tcmicro_state", seen)
