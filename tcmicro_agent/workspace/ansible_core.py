"""The only module that imports ansible-core (2.19, Python 3.11), and as a whole: `ansible.cli` sets it up."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, TypeVar

from ansible import constants
from ansible.cli import CLI
from ansible.errors import AnsibleError
from ansible.inventory.manager import InventoryManager
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.loader import init_plugin_loader
from ansible.vars.hostvars import HostVars
from ansible.vars.manager import VariableManager

from tcmicro_agent.policy.inventory_facts import inventory_document
from tcmicro_agent.workspace.files import DIRECTORY

T = TypeVar("T")


class InventoryFault(Exception):
    """What Ansible cannot read, and why."""

    def __init__(self, source: str, text: str) -> None:
        super().__init__(text)
        self.source = source
        self.text = text


def configured() -> tuple[str, ...]:
    """The inventories of ansible.cfg and the environment."""
    return tuple(str(source) for source in constants.DEFAULT_HOST_LIST or ())


def document(sources: Sequence[str], hosts_group: str) -> dict[str, Any]:
    """What `parse_inventory` reads, with the hosts of that group."""
    named = ", ".join(sources)
    manager, variables = _asked(named, lambda: _open(sources))
    group = manager.groups.get(hosts_group)
    hosts = [host.name for host in group.get_hosts()] if group else []
    if not hosts:
        text = f"no group {hosts_group!r} with hosts; name the group with --hosts-group"
        raise InventoryFault(named, text)
    found: dict[str, Any] = {}
    for host in hosts:
        found.update(_asked(f"host {host}", lambda: inventory_document(variables, [host])))  # noqa: B023 - called at once
    return found


class _Manager(InventoryManager):  # type: ignore[misc]  # ansible-core has no types
    """Whatever ansible.cfg says, passes over policies that lie inside an inventory, and refuses what it cannot read,
    which Ansible takes for an empty inventory."""

    def __init__(self, loader: Any, sources: Sequence[str]) -> None:
        self._wanted = {_absolute(source): source for source in sources}
        super().__init__(loader=loader, sources=list(self._wanted))

    def parse_source(self, source: str, cache: bool = False) -> bool:  # noqa: FBT001, FBT002 - as Ansible has it
        if os.path.basename(source) == DIRECTORY and os.path.isdir(source):
            return False
        if source not in self._wanted:
            return bool(super().parse_source(source, cache=cache))
        try:
            found = bool(super().parse_source(source, cache=cache))
        except AnsibleError:  # ansible.cfg may ask for that
            found = False
        if not found:
            text = "Ansible cannot read it as an inventory; it says why above"
            raise InventoryFault(self._wanted[source], text)
        return found


def _absolute(source: str) -> str:
    """As Ansible's own programs do it: variables beside an inventory are remembered by its path."""
    return source if "," in source else os.path.abspath(source)


def _open(sources: Sequence[str]) -> tuple[_Manager, Any]:
    """The inventory and its variables by host, templated as they are asked for."""
    loader = DataLoader()
    loader.set_vault_secrets(_secrets())
    manager = _Manager(loader, sources)
    versions = CLI.version_info(gitinfo=False)
    variables = VariableManager(loader=loader, inventory=manager, version_info=versions)
    return manager, HostVars(manager, variables, loader)


@cache
def set_loader_up() -> None:
    """So that collections are found as ansible.cfg says; may be done only once in a process."""
    init_plugin_loader()


@cache
def _secrets() -> Any:
    """The vault's, as configured; asked for only once in a process."""
    set_loader_up()
    identities = list(constants.DEFAULT_VAULT_IDENTITY_LIST or ())
    return CLI.setup_vault_secrets(DataLoader(), vault_ids=identities, auto_prompt=False)


def _asked(source: str, work: Callable[[], T]) -> T:
    """What Ansible answers. Plugins of other people may fail in any way."""
    try:
        return work()
    except InventoryFault:
        raise
    except AnsibleError as exc:
        raise InventoryFault(source, " ".join(str(exc.message).split())) from exc
    except Exception as exc:
        text = f"Ansible failed: {type(exc).__name__}: {' '.join(str(exc).split())}"
        raise InventoryFault(source, text) from exc
