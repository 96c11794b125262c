"""Who the peers of one bundle are: identities, the endpoints they are seen at, and which of them a clause matches.

An identity is all that rules can tell apart: groups, labels, the policy networks around the address, and the name of
a host that some rule names by it. So whatever shares an identity matches exactly the same clauses.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Union

from tcmicro_agent.policy.intent import Cidrs, Entity, HostSelector, Known
from tcmicro_agent.policy.inventory import Host, Inventory
from tcmicro_agent.policy.model import WORLD, Identity, IdentityInfo, Network
from tcmicro_agent.policy.networks import Nesting, order_of
from tcmicro_agent.policy.selection import MEANINGLESS, Names


@dataclass(frozen=True)
class Selected:
    """A selector of a rule and the hosts it came to."""

    selector: HostSelector
    hosts: Names


Clause = Union[Cidrs, Selected, Known]  # of the entities, those that are the same for every host

DETAILS = 3  # how much a name may tell: who, with which labels, in which network


@dataclass(frozen=True)
class Traits:
    """What makes an identity: `networks` widest first; `name` is empty unless a rule names the host by it.

    A host that has neither groups nor labels is still not one of the strangers in the networks around it. `is_other`:
    a host that no selector names; rules see it as part of the fleet only.
    """

    networks: tuple[Network, ...]
    groups: tuple[str, ...] = ()
    labels: tuple[tuple[str, str], ...] = ()
    name: str = ""
    is_host: bool = False
    is_other: bool = False


@dataclass(frozen=True)
class Peers:
    """The peers of a bundle; equal clauses over equal inventories give equal numbers."""

    traits: Mapping[Network, Traits]
    of_host: Mapping[str, set[Traits]]
    numbers: Mapping[Traits, Identity]

    def endpoints(self) -> dict[str, Identity]:
        ordered = sorted(self.traits.items(), key=lambda item: order_of(item[0]))
        return {str(network): self.numbers[traits] for network, traits in ordered}

    def matching(self, clause: Clause) -> set[Identity]:
        """The identities that a clause matches."""
        if isinstance(clause, Cidrs):
            return {number for traits, number in self.numbers.items() if _holds(clause, traits)}
        if isinstance(clause, Known):
            fleet = {number for traits, number in self.numbers.items() if traits.is_host}
            strangers = {WORLD, *self.numbers.values()} - fleet
            return fleet if clause.entity is Entity.FLEET else strangers
        found = (traits for name in clause.hosts for traits in self.of_host[name])
        return {self.numbers[traits] for traits in found}

    def identities(self, inventory: Inventory) -> tuple[IdentityInfo, ...]:
        return tuple(
            IdentityInfo(self.numbers[traits], name, traits.groups, traits.labels)
            for traits, name in _names(self.numbers, inventory).items()
        )


def find_peers(clauses: Collection[Clause], inventory: Inventory) -> Peers:
    """Everybody the clauses name, numbered from 1."""
    nesting = Nesting(network for clause in clauses for network in _mentioned(clause))
    traits = {network: Traits(nesting.around(network)) for network in nesting}
    pinned = {name for clause in clauses for name in _pinned(clause)}
    named = {n for clause in clauses if isinstance(clause, Selected) for n in clause.hosts}
    of_host: dict[str, set[Traits]] = {}
    for host in (inventory.hosts[name] for name in named):
        seen = dict(_seen(host, nesting, host.name if host.name in pinned else ""))
        of_host[host.name] = set(seen.values())
        traits.update(seen)
    if any(isinstance(clause, Known) for clause in clauses):
        traits.update(_others(inventory, named, nesting))
    ordered = sorted(set(traits.values()), key=_order)
    numbers = {found: Identity(number) for number, found in enumerate(ordered, start=1)}
    return Peers(traits, of_host, numbers)


def _seen(host: Host, nesting: Nesting, name: str) -> Iterator[tuple[Network, Traits]]:
    """The addresses of a host and who it is there."""
    groups = tuple(group for group in host.groups if group not in MEANINGLESS)
    for network in host.networks:
        around = nesting.around(network)
        yield network, Traits(around, groups, host.labels, name, is_host=True)


def _others(
    inventory: Inventory, named: Collection[str], nesting: Nesting
) -> Iterator[tuple[Network, Traits]]:
    for host in inventory.hosts.values():
        if host.name not in named:
            for network in host.networks:
                yield network, Traits(nesting.around(network), is_host=True, is_other=True)


def _order(traits: Traits) -> tuple[object, ...]:
    networks = tuple(order_of(network) for network in traits.networks)
    return (traits.groups, traits.labels, traits.name, networks, traits.is_host, traits.is_other)


def _mentioned(clause: Clause) -> tuple[Network, ...]:
    return (*clause.networks, *clause.excluded) if isinstance(clause, Cidrs) else ()


def _pinned(clause: Clause) -> Iterable[str]:
    return (word.text for word in clause.selector.hosts) if isinstance(clause, Selected) else ()


def _holds(clause: Cidrs, traits: Traits) -> bool:
    around = set(traits.networks)
    return not around.isdisjoint(clause.networks) and around.isdisjoint(clause.excluded)


def _names(numbers: Iterable[Traits], inventory: Inventory) -> dict[Traits, str]:
    """Names for people: as short as tells the identities of the bundle apart."""
    shared = inventory.shared_groups
    names: dict[Traits, str] = {}
    for detail in range(DETAILS):
        tried = {traits: _name(traits, shared, detail) for traits in numbers if traits not in names}
        uses = Counter([*names.values(), *tried.values()])
        last = detail == DETAILS - 1
        names.update((traits, name) for traits, name in tried.items() if last or uses[name] == 1)
    return {traits: names[traits] for traits in numbers}


def _name(traits: Traits, shared: frozenset[str], detail: int) -> str:
    if not traits.is_host:
        return str(traits.networks[-1])
    groups = [group for group in traits.groups if group not in shared] or traits.groups
    name = "fleet" if traits.is_other else traits.name or "+".join(groups) or "ungrouped"
    if detail > 0 and traits.labels:
        name += "{" + ",".join(f"{key}={value}" for key, value in traits.labels) + "}"
    if detail > 1 and traits.networks:
        name += f" in {traits.networks[-1]}"
    return name
