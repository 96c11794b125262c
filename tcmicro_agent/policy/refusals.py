"""What policies may not say together, or of this inventory. Each check notes every fault it finds."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from tcmicro_agent.jsonutil import show
from tcmicro_agent.policy.codes import Code
from tcmicro_agent.policy.intent import Cidrs, Entity, Policy, Word
from tcmicro_agent.policy.inventory import Inventory
from tcmicro_agent.policy.lines import ADDRESSES, Line
from tcmicro_agent.policy.peers import Clause, Selected
from tcmicro_agent.policy.problems import Problems

Policies = tuple[Policy, ...]

SHOWN_HOSTS = 3
VARIABLES = {
    Entity.SELF: "tcmicro_addresses or ansible_host",
    Entity.CONTROLLER: "tcmicro_controller_addresses",
    Entity.RESOLVERS: "tcmicro_resolvers",
}


def refuse_twins(policies: Policies, problems: Problems) -> None:
    for one, other in zip(policies, policies[1:]):
        if one.name.text == other.name.text:
            text = f"policy {show(other.name.text)} exists already at {one.name.where}"
            problems.add(other.name.where, Code.DUPLICATE_NAME, text)


def refuse_unaddressed(lines: Iterable[Line], inventory: Inventory, problems: Problems) -> None:
    """A host that rules name and nobody can recognise would silently match nothing, or be one of the world."""
    unaddressed = frozenset(host.name for host in inventory.hosts.values() if not host.addresses)
    for clause in (clause for line in lines for clause in line.clauses):
        silent = unaddressed & _named(clause, unaddressed)
        if silent:
            text = f"{_list(silent)} without an address; set tcmicro_addresses or ansible_host"
            where = clause.selector.where if isinstance(clause, Selected) else clause.where
            problems.add(where, Code.NO_ADDRESS, text)


def _named(clause: Clause, fleet: frozenset[str]) -> frozenset[str]:
    if isinstance(clause, Selected):
        return clause.hosts
    if isinstance(clause, Cidrs) or clause.entity in ADDRESSES:
        return frozenset()
    return fleet


def refuse_unknown_places(
    lines: Iterable[Line],
    subjects: Mapping[Word, Collection[str]],
    inventory: Inventory,
    problems: Problems,
) -> None:
    """An entity without addresses would silently match nothing."""
    for line in lines:
        for clause in line.places:
            addresses = ADDRESSES[clause.entity]
            hosts = subjects[line.policy.name]
            missing = {name for name in hosts if not addresses(inventory.hosts[name])}
            if missing:
                text = (
                    f"no address of {clause.entity.value} is known on {_list(missing)}; "
                    f"set {VARIABLES[clause.entity]}"
                )
                problems.add(clause.where, Code.NO_ENTITY, text)


def _list(hosts: Iterable[str]) -> str:
    """A few names and how many more there are."""
    names = sorted(hosts)
    more = len(names) - SHOWN_HOSTS
    return ", ".join(names[:SHOWN_HOSTS]) + (f" and {more} more" if more > 0 else "")
