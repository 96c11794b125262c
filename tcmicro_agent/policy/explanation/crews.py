"""The ends of a question: who is meant by a host, a group or an address, as classes of hosts that are treated alike."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import ip_address

from tcmicro_agent.jsonutil import did_you_mean, show
from tcmicro_agent.policy.codes import Code
from tcmicro_agent.policy.intent import End, EndKind
from tcmicro_agent.policy.inventory import EVERY_HOST, Address, Host, Inventory
from tcmicro_agent.policy.model import Bundle
from tcmicro_agent.policy.problems import Fault
from tcmicro_agent.policy.reach.parties import Party, find_bodies, find_parties


@dataclass(frozen=True)
class Crew:
    """Hosts with the same groups and labels that every bundle treats alike, shown by one of them; or one address,
    with no host if it is not in the inventory."""

    names: tuple[str, ...]
    host: Host | None
    addresses: tuple[Address, ...]

    @property
    def is_one_host(self) -> bool:
        return len(self.names) == 1


def find_hosts(end: End, inventory: Inventory) -> tuple[str, ...]:
    """The hosts that are meant; none for an address of nobody. Raises Fault for a name that does not exist."""
    text, where = end.name.text, end.name.where
    if end.kind is EndKind.ADDRESS:
        address = ip_address(text)
        return tuple(n for n, host in inventory.hosts.items() if address in host.addresses)
    if end.kind is EndKind.HOST:
        if text not in inventory.hosts:
            hint = did_you_mean(text, sorted(inventory.hosts))
            raise Fault(where, Code.UNKNOWN_HOST, f"the inventory has no host {show(text)}{hint}")
        return (text,)
    found = tuple(n for n, h in inventory.hosts.items() if text in (EVERY_HOST, *h.groups))
    if not found:
        groups = sorted({group for host in inventory.hosts.values() for group in host.groups})
        hint = did_you_mean(text, groups)
        raise Fault(where, Code.UNKNOWN_GROUP, f"no host is in group {show(text)}{hint}")
    return found


class Crews:
    """Finds the classes of ends, over the bundles of all hosts that the questions are about."""

    def __init__(self, bundles: Mapping[str, Bundle], inventory: Inventory) -> None:
        self._inventory = inventory
        self._parties: dict[str, list[Party]] = {name: [] for name in bundles}
        if bundles:
            for party in find_parties(find_bodies(bundles), inventory):
                for name in party.hosts:
                    self._parties[name].append(party)

    def of(self, end: End) -> list[Crew]:
        """An address stays by itself, whoever has it."""
        names = find_hosts(end, self._inventory)
        if end.kind is EndKind.ADDRESS:
            host = self._inventory.hosts[names[0]] if names else None
            return [Crew(names, host, (ip_address(end.name.text),))]
        return [self._crew(alike) for alike in self._classes(names)]

    def _classes(self, names: Iterable[str]) -> list[list[str]]:
        found: dict[tuple[object, ...], list[str]] = {}
        for name in names:
            host = self._inventory.hosts[name]
            key = (host.groups, host.labels, *map(id, self._parties[name]))
            found.setdefault(key, []).append(name)
        return list(found.values())

    def _crew(self, names: list[str]) -> Crew:
        host = self._inventory.hosts[names[0]]
        return Crew(tuple(names), host, host.addresses)

    def another(self, crew: Crew) -> Crew:
        """The same crew shown by another of its hosts."""
        return self._crew([*crew.names[1:], crew.names[0]])
