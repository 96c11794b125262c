"""Any Ansible inventory (static, dynamic, constructed, several), read by ansible-core in this process."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from tcmicro_agent.errors import PolicyError
from tcmicro_agent.policy.codes import Code
from tcmicro_agent.policy.inventory import Inventory, parse_inventory
from tcmicro_agent.policy.problems import Problems, Where

HOSTS_GROUP = "tcmicro"
INSTALL = "install tcmicro with its controller extra: pip install 'tcmicro[controller]'"


def default_inventories() -> tuple[str, ...]:
    """Those of ansible.cfg or the environment, if they are there."""
    found = tuple(source for source in _ansible().configured() if _exists(source))
    if not found:
        raise _refused("inventory", "there is none; name one with -i")
    return found


def read_inventory(sources: Sequence[str], hosts_group: str = HOSTS_GROUP) -> Inventory:
    """The hosts of a group with their labels and addresses, by the rules of the playbooks. PolicyError with what
    is wrong; what Ansible itself has to say goes to stderr."""
    for source in sources:
        if not _exists(source):
            raise _refused(source, "there is no such inventory")
    ansible = _ansible()
    try:
        return parse_inventory(ansible.document(sources, hosts_group))
    except ansible.InventoryFault as fault:
        raise _refused(fault.source, fault.text) from fault


def _ansible() -> Any:
    """ansible-core takes half a second to import, and a fleet host has none."""
    try:
        from tcmicro_agent.workspace import ansible_core
    except ModuleNotFoundError as exc:
        if (exc.name or "").partition(".")[0] != "ansible":
            raise
        raise _refused("inventory", f"needs ansible-core; {INSTALL}") from exc
    except SystemExit as exc:  # its way to refuse a locale that is not UTF-8
        raise _refused("inventory", str(exc)) from exc
    return ansible_core


def _exists(source: str) -> bool:
    """A list of hosts is an inventory too."""
    return "," in source or os.path.exists(source)


def _refused(source: str, text: str) -> PolicyError:
    problems = Problems()
    problems.add(Where(source), Code.INVENTORY_UNREADABLE, text)
    return problems.error()
