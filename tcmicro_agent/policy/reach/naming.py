"""Sets of hosts in the words of the inventory: groups and labels that fit exactly, and single hosts for the rest."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from tcmicro_agent.policy.inventory import Host, Inventory

EVERY_HOST = "all hosts"
SHOWN_HOSTS = 4

Names = frozenset[str]


class Trait(NamedTuple):
    """What hosts have in common: a group, a label, or both; an empty text is none."""

    group: str
    label: str

    def __str__(self) -> str:
        return f"{self.group}{{{self.label}}}" if self.group and self.label else "".join(self)


class Naming:
    """Names sets of hosts of one inventory; every answer is kept."""

    def __init__(self, inventory: Inventory) -> None:
        self._hosts = inventory.hosts
        self._traits = {name: tuple(_traits(host)) for name, host in inventory.hosts.items()}
        self._sizes = Counter(trait for traits in self._traits.values() for trait in traits)
        self._known: dict[Names, tuple[str, ...]] = {}
        self.groups = own_groups(inventory)

    def name(self, hosts: Names) -> str:
        """`web, client{tier=test}, db9`; with many single hosts, how many more there are."""
        words = self.words(hosts)
        single = [word for word in words if word in hosts]
        if len(single) <= SHOWN_HOSTS:
            return ", ".join(words)
        shown = [word for word in words if word not in single] + single[: SHOWN_HOSTS - 1]
        return f"{', '.join(shown)} and {len(single) - SHOWN_HOSTS + 1} more hosts"

    def words(self, hosts: Names) -> tuple[str, ...]:
        """The words, none left out."""
        if hosts not in self._known:
            self._known[hosts] = tuple(self._words(hosts))
        return self._known[hosts]

    def _words(self, hosts: Names) -> Iterable[str]:
        if len(hosts) == len(self._hosts) > 1:
            return [EVERY_HOST]
        left, words = set(hosts), []
        for trait in self._whole(hosts):
            covered = {name for name in left if trait in self._traits[name]}
            if len(covered) > 1:
                words.append(str(trait))
                left -= covered
        return [*sorted(words), *sorted(left)]

    def _whole(self, hosts: Names) -> list[Trait]:
        """Traits that all who have them are among the hosts: the most common first, of equals the simplest."""
        here = Counter(trait for name in hosts for trait in self._traits[name])
        whole = [trait for trait, count in here.items() if 1 < count == self._sizes[trait]]
        return sorted(whole, key=lambda t: (-here[t], bool(t.group and t.label), not t.group, t))


def own_groups(inventory: Inventory) -> dict[str, tuple[str, ...]]:
    """By host, the groups that say who it is: not those that every host is in."""
    sizes = Counter(group for host in inventory.hosts.values() for group in _groups(host))
    fleet = len(inventory.hosts)
    return {
        name: tuple(group for group in _groups(host) if sizes[group] < fleet) or _groups(host)
        for name, host in inventory.hosts.items()
    }


def _groups(host: Host) -> tuple[str, ...]:
    return host.telling_groups


def _traits(host: Host) -> Iterator[Trait]:
    labels = [f"{key}={value}" for key, value in host.labels]
    for group in _groups(host):
        yield Trait(group, "")
        yield from (Trait(group, label) for label in labels)
    yield from (Trait("", label) for label in labels)
