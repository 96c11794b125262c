"""What policies may speak of: the hosts of the inventory with their groups, labels and addresses."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Union

from tcmicro_agent.errors import PolicyError
from tcmicro_agent.jsonutil import Reader, read, show
from tcmicro_agent.policy.codes import Code
from tcmicro_agent.policy.model import Network
from tcmicro_agent.policy.networks import NetworkOrder, order_of
from tcmicro_agent.policy.problems import Problems, Where

Address = Union[IPv4Address, IPv6Address]

# Ansible gives every host `all`, and `ungrouped` says only what is missing: neither tells who a host is.
EVERY_HOST = "all"
MEANINGLESS = frozenset({EVERY_HOST, "ungrouped"})


@dataclass(frozen=True)
class Host:
    """One host; all it has is sorted. `controller` and `resolvers` are addresses as this host sees them."""

    name: str
    groups: tuple[str, ...]
    labels: tuple[tuple[str, str], ...]
    addresses: tuple[Address, ...]
    controller: tuple[Address, ...] = ()
    resolvers: tuple[Address, ...] = ()

    @cached_property
    def networks(self) -> tuple[Network, ...]:
        """The addresses as networks of one address each."""
        return as_networks(self.addresses)

    @cached_property
    def endpoints(self) -> tuple[tuple[NetworkOrder, str, Network], ...]:
        """The networks as they are sorted and as they are written; both take a while, and many bundles name a host."""
        return tuple((order_of(network), str(network), network) for network in self.networks)

    @cached_property
    def telling_groups(self) -> tuple[str, ...]:
        """Those of its groups that tell who it is."""
        return tuple(group for group in self.groups if group not in MEANINGLESS)


@dataclass(frozen=True)
class Inventory:
    """All hosts by name, in order of their names."""

    hosts: Mapping[str, Host]

    @cached_property
    def shared_groups(self) -> frozenset[str]:
        """The groups that every host is in; they tell nobody apart."""
        groups = [frozenset(host.groups) for host in self.hosts.values()]
        return frozenset[str]().union(*groups[:1]).intersection(*groups)


def parse_inventory(document: object) -> Inventory:
    """`{"web1": {"groups": [...], "labels": {...}, "addresses": [...]}}`, or PolicyError with every fault of it.

    A host may also have lists `controller` and `resolvers`.
    """
    try:
        return read(document, _read_inventory, PolicyError)
    except PolicyError as exc:
        problems = Problems()
        for text in exc.problems:
            problems.add(Where("inventory"), Code.INVENTORY, text)
        raise problems.error() from None


def _read_inventory(doc: Reader) -> Inventory:
    names = sorted(doc.names())
    inventory = Inventory({name: _read_host(name, doc.get_object(name)) for name in names})
    owners: dict[Address, str] = {}
    for host in inventory.hosts.values():
        for address in host.addresses:
            owner = owners.setdefault(address, host.name)
            if owner != host.name:
                doc.fault(host.name, f"{address} is the address of {owner} too")
    return inventory


def _read_host(name: str, item: Reader) -> Host:
    return Host(
        name=name,
        groups=tuple(sorted(set(item.get_strings("groups")))),
        labels=tuple(sorted(item.get_map("labels").items())),
        addresses=_addresses(item, "addresses"),
        controller=_addresses(item, "controller", ()),
        resolvers=_addresses(item, "resolvers", ()),
    )


def as_networks(addresses: Iterable[Address]) -> tuple[Network, ...]:
    """Networks of one address each."""
    return tuple(
        IPv4Network((int(a), 32)) if a.version == 4 else IPv6Network((int(a), 128))
        for a in addresses
    )


def _addresses(
    item: Reader, key: str, absent: tuple[Address, ...] | None = None
) -> tuple[Address, ...]:
    if absent is not None and key not in item.names():
        return absent
    return tuple(sorted(set(item.get_values(key, _address)), key=lambda a: (a.version, a)))


def _address(text: str) -> Address:
    try:
        address = ip_address(text)
    except ValueError:
        raise ValueError(f"{show(text)} is not an IP address") from None
    if isinstance(address, IPv6Address) and ("%" in text or address.ipv4_mapped):
        raise ValueError(f"{show(text)} must be a plain address, without zone or wrapped IPv4")
    if address.is_loopback or address.is_multicast or address.is_unspecified:
        raise ValueError(f"{show(text)} is no address that peers see")
    return address
