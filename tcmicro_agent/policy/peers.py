"""Who the peers of one bundle are: identities, the endpoints they are seen at, and which of them a clause matches.

An identity is all that rules can tell apart: groups, labels, the policy networks around the address, and the name of
a host that some rule names by it. So whatever shares an identity matches exactly the same clauses.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Union

from tcmicro_agent.policy.intent import Cidrs, Entity, HostSelector, Known
from tcmicro_agent.policy.inventory import Host, Inventory
from tcmicro_agent.policy.model import WORLD, Identity, IdentityInfo, Network
from tcmicro_agent.policy.networks import Nesting, NetworkOrder, order_of
from tcmicro_agent.policy.selection import Names


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

    endpoints: Mapping[str, Identity]
    numbers: Mapping[Traits, Identity]
    of_host: Mapping[str, set[Identity]]
    of_network: Mapping[Network, set[Identity]]

    def matching(self, clause: Clause) -> set[Identity]:
        """The identities that a clause matches."""
        if isinstance(clause, Cidrs):
            return self._within(clause.networks) - self._within(clause.excluded)
        if isinstance(clause, Known):
            fleet = {number for traits, number in self.numbers.items() if traits.is_host}
            strangers = {WORLD, *self.numbers.values()} - fleet
            return fleet if clause.entity is Entity.FLEET else strangers
        return set().union(*(self.of_host[name] for name in clause.hosts))

    def _within(self, networks: Iterable[Network]) -> set[Identity]:
        return set().union(*(self.of_network[network] for network in networks))

    def identities(self, inventory: Inventory) -> tuple[IdentityInfo, ...]:
        return tuple(
            IdentityInfo(self.numbers[traits], name, traits.groups, traits.labels)
            for traits, name in _names(self.numbers, inventory.shared_groups).items()
        )


class Census:
    """Collects who is seen at which network. There may be a million of them and few differ, so equal traits are one
    object, found by what is cheap to compare.
    """

    def __init__(self, nesting: Nesting) -> None:
        self._nesting = nesting
        self._known: dict[object, Traits] = {}
        self.seen: dict[str, tuple[NetworkOrder, Traits]] = {}

    def network(self, network: Network) -> None:
        traits = Traits(self._nesting.around(network))
        self.seen[str(network)] = order_of(network), traits

    def host(self, host: Host, name: str = "", *, is_other: bool = False) -> set[int]:
        """Adds a host at all its addresses, under its name if a rule names it so; the ids of its traits."""
        ids = set()
        for order, text, network in host.endpoints:
            around = self._nesting.around(network)
            who = ((), ()) if is_other else (host.telling_groups, host.labels)
            key = is_other, name, who, tuple(map(id, around))
            if key not in self._known:
                self._known[key] = Traits(
                    around, who[0], who[1], name, is_host=True, is_other=is_other
                )
            self.seen[text] = order, self._known[key]
            ids.add(id(self._known[key]))
        return ids


def find_peers(clauses: Collection[Clause], inventory: Inventory) -> Peers:
    """Everybody the clauses name, numbered from 1."""
    nesting = Nesting(network for clause in clauses for network in _mentioned(clause))
    census = Census(nesting)
    for network in nesting:
        census.network(network)
    pinned = {name for clause in clauses for name in _pinned(clause)}
    named = named_hosts(clauses)
    ids_of = {n: census.host(inventory.hosts[n], n if n in pinned else "") for n in named}
    if is_about_all(clauses):
        for host in inventory.hosts.values():
            if host.name not in named:
                census.host(host, is_other=True)
    return _numbered(census, ids_of, nesting)


def named_hosts(clauses: Iterable[Clause]) -> frozenset[str]:
    """The hosts that selectors came to."""
    return frozenset().union(*(c.hosts for c in clauses if isinstance(c, Selected)))


def is_about_all(clauses: Iterable[Clause]) -> bool:
    """Whether every host of the inventory matters."""
    return any(isinstance(clause, Known) for clause in clauses)


def _numbered(census: Census, ids_of: Mapping[str, set[int]], nesting: Nesting) -> Peers:
    distinct = {id(traits): traits for _, traits in census.seen.values()}
    ordered = sorted(set(distinct.values()), key=_order)
    numbers = {found: Identity(number) for number, found in enumerate(ordered, start=1)}
    number_of = {key: numbers[traits] for key, traits in distinct.items()}
    of_network: dict[Network, set[Identity]] = {network: set() for network in nesting}
    for traits, number in numbers.items():
        for network in traits.networks:
            of_network[network].add(number)
    in_order = sorted((order, text, id(traits)) for text, (order, traits) in census.seen.items())
    return Peers(
        endpoints={text: number_of[key] for _, text, key in in_order},
        numbers=numbers,
        of_host={n: {number_of[i] for i in ids} for n, ids in ids_of.items()},
        of_network=of_network,
    )


def _order(traits: Traits) -> tuple[object, ...]:
    networks = tuple(order_of(network) for network in traits.networks)
    return (traits.groups, traits.labels, traits.name, networks, traits.is_host, traits.is_other)


def _mentioned(clause: Clause) -> tuple[Network, ...]:
    return (*clause.networks, *clause.excluded) if isinstance(clause, Cidrs) else ()


def _pinned(clause: Clause) -> Iterable[str]:
    return (word.text for word in clause.selector.hosts) if isinstance(clause, Selected) else ()


def _names(numbers: Iterable[Traits], shared: frozenset[str]) -> dict[Traits, str]:
    """Names for people: as short as tells the identities of the bundle apart."""
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
