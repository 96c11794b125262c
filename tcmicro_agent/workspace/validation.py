"""Everything that is wrong with policies, as far as it can be known: from the files, the inventory, and both."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from tcmicro_agent.policy.checks import Limits, check
from tcmicro_agent.policy.intent import Policy
from tcmicro_agent.policy.inventory import Inventory
from tcmicro_agent.policy.problems import Fault, PolicyFaults
from tcmicro_agent.policy.resolve import resolve
from tcmicro_agent.policy.source import parse_policies
from tcmicro_agent.workspace.files import Files, policy_directories, read_files
from tcmicro_agent.workspace.inventories import HOSTS_GROUP, read_inventory

T = TypeVar("T")


@dataclass
class Validation:
    """What was read, and the faults of it. `inventory` None: none was asked for, or it cannot be read."""

    files: Files = field(default_factory=lambda: Files({}, {}))
    policies: tuple[Policy, ...] = ()
    inventory: Inventory | None = None
    faults: list[Fault] = field(default_factory=list)


def validate(
    paths: Sequence[Path],
    inventories: Sequence[str],
    limits: Limits,
    hosts_group: str = HOSTS_GROUP,
) -> Validation:
    """Without inventories the files alone are looked at. Faults of files and of the inventory are told together."""
    found = Validation()
    wanted = tuple(paths) or policy_directories(inventories)
    found.files = _take(found, lambda: read_files(wanted)) or found.files
    policies = _take(found, lambda: parse_policies(found.files.texts.items()))
    found.policies = policies or ()
    if inventories:
        found.inventory = _take(found, lambda: read_inventory(inventories, hosts_group))
    inventory = found.inventory
    if inventory and not found.faults:
        found.faults += _take(found, lambda: _meaning(found.policies, inventory, limits)) or ()
    return found


def _meaning(
    policies: tuple[Policy, ...], inventory: Inventory, limits: Limits
) -> tuple[Fault, ...]:
    return check(policies, inventory, resolve(policies, inventory), limits)


def _take(found: Validation, work: Callable[[], T]) -> T | None:
    """What the work comes to, or None and its faults among those found."""
    try:
        return work()
    except PolicyFaults as exc:
        found.faults += exc.faults
        return None
