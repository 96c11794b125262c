"""Who can be told apart: all addresses there are, as parties that every one of some bundles takes for one peer.

A fleet of ten thousand hosts comes to few parties, and whatever holds for one address of a party holds for all of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from ipaddress import ip_network
from typing import Optional

from tcmicro_agent.policy.inventory import Inventory
from tcmicro_agent.policy.model import WORLD, Bundle, Identity, Network
from tcmicro_agent.policy.networks import Nesting

ALL4, ALL6 = ip_network("0.0.0.0/0"), ip_network("::/0")

Seen = tuple[Identity, ...]  # who somebody is in each of the bundles, in their order
Rows = tuple[int, ...]  # positions of the bundles of one host: one for each side that is compared
Exact = tuple[Optional[Identity], ...]  # as Seen, where an entry names the very address
Around = tuple[Network, ...]  # the networks that hold an address, widest first


@dataclass(frozen=True, eq=False)
class Party:
    """Addresses of one family: of `hosts`, or outside of the inventory, where `rows` is empty and `networks`, each
    less the narrower ones in it, say where."""

    version: int
    seen: Seen
    rows: Rows = ()
    hosts: frozenset[str] = frozenset()
    networks: tuple[Network, ...] = ()

    @property
    def ours(self) -> bool:
        return bool(self.hosts)


@dataclass(frozen=True)
class Bodies:
    """Distinct contents of bundles, whichever host they are for, and where each host has its own in that list."""

    bundles: tuple[Bundle, ...]
    rows: Mapping[str, Rows]


def find_bodies(*sides: Mapping[str, Bundle]) -> Bodies:
    """The bundles of each side, by host; a host must be on every side."""
    positions: dict[tuple[object, ...], int] = {}
    bundles: list[Bundle] = []
    rows: dict[str, Rows] = {}
    for host in sides[0]:
        row: list[int] = []
        for side in sides:
            key = _content(side[host])
            if key not in positions:
                positions[key] = _equal(bundles, row, side[host])
                bundles[positions[key] : positions[key] + 1] = [side[host]]  # with its own sources
            row.append(positions[key])
        rows[host] = tuple(row)
    return Bodies(tuple(bundles), rows)


def find_parties(bodies: Bodies, inventory: Inventory) -> list[Party]:
    """Every address there is, in parties: those of hosts that have bundles first, then the outside."""
    crowd = _Crowd(bodies, inventory)
    return [*crowd.inside(), *crowd.outside()]


class _Crowd:
    def __init__(self, bodies: Bodies, inventory: Inventory) -> None:
        self._bodies = bodies
        self._owners = {
            str(network): (network, name)
            for name, host in inventory.hosts.items()
            for network in host.networks
        }
        endpoints = [bundle.endpoints for bundle in bodies.bundles]
        foreign = set().union(*endpoints) - set(self._owners)
        self._nesting = Nesting([ALL4, ALL6, *map(ip_network, foreign)])
        self._endpoints = endpoints

    def inside(self) -> list[Party]:
        columns = [list(map(endpoints.get, self._owners)) for endpoints in self._endpoints]
        found: dict[tuple[Rows, int, Exact, Around], list[str]] = {}
        for (network, host), exact in zip(self._owners.values(), zip(*columns)):
            if host in self._bodies.rows:
                around = self._nesting.around(network) if None in exact else ()
                key = (self._bodies.rows[host], network.version, exact, around)
                found.setdefault(key, []).append(host)
        merged: dict[tuple[Rows, int, Seen], set[str]] = {}
        for (rows, version, exact, around), hosts in found.items():
            seen = self._seen(exact, around)
            merged.setdefault((rows, version, seen), set()).update(hosts)
        return [
            Party(version, seen, rows, frozenset(hosts))
            for (rows, version, seen), hosts in merged.items()
        ]

    def outside(self) -> list[Party]:
        found: dict[tuple[int, Seen], list[Network]] = {}
        unknown: Exact = (None,) * len(self._endpoints)
        for network in self._nesting:
            if self._left(network):
                seen = self._seen(unknown, self._nesting.around(network))
                found.setdefault((network.version, seen), []).append(network)
        return [
            Party(version, seen, networks=tuple(networks))
            for (version, seen), networks in found.items()
        ]

    def _seen(self, exact: Exact, around: Around) -> Seen:
        """What the longest network says where no entry is for the address alone."""
        names = [str(network) for network in reversed(around)]
        return tuple(
            next((ends[name] for name in names if name in ends), WORLD) if known is None else known
            for known, ends in zip(exact, self._endpoints)
        )

    @cached_property
    def _taken(self) -> dict[Network, int]:
        """How many addresses of each network belong to narrower ones or to hosts."""
        taken: dict[Network, int] = {}
        inner = [(network, network.num_addresses, 1) for network in self._nesting]
        hosts = [(network, 1, 0) for network, _ in self._owners.values()]
        for network, size, itself in (*inner, *hosts):
            around = self._nesting.around(network)
            if len(around) > itself:
                parent = around[-1 - itself]
                taken[parent] = taken.get(parent, 0) + size
        return taken

    def _left(self, network: Network) -> int:
        return network.num_addresses - self._taken.get(network, 0)


def _content(bundle: Bundle) -> tuple[object, ...]:
    """Tells contents apart by the objects they are made of, which hosts under the same policies share."""
    parts = (bundle.rules, bundle.endpoints, bundle.identities)
    defaults = (bundle.mode, bundle.default_ingress, bundle.default_egress, bundle.default_forward)
    sources = (bundle.default_source, bundle.forward_source, bundle.audited_defaults)
    return (*map(id, parts), *defaults, *sources)


def _equal(bundles: Sequence[Bundle], row: Sequence[int], wanted: Bundle) -> int:
    """The position of the same host's content on an earlier side where it is equal, else a new one."""
    for position in row:
        known = bundles[position]
        if _parts(known) == _parts(wanted):
            return position
    return len(bundles)


def _parts(bundle: Bundle) -> tuple[object, ...]:
    return tuple(value for name, value in vars(bundle).items() if name not in ("host", "text"))
