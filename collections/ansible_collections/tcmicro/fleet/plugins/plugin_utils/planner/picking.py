# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Picks hosts for one wave after the other, fast enough for tens of thousands. Pure, but keeps a state of its own.

Within a wave each class that no wave had yet comes first, the largest class at the head; then always a host of the
failure domain of which the smallest share has been used. Within a domain, hosts whose HA group has most members left
come first: their partners stand in for them, and large groups need many waves. The rest is chance, by the seed.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from heapq import heapify, heappop, heappush

from ansible_collections.tcmicro.fleet.plugins.plugin_utils.planner.hosts import INFRA, Host, rank

DOMAIN_SHARE = (
    10  # at most a tenth of a failure domain at once, where waves of the wanted size allow it
)

Entry = tuple[int, bytes, Host]  # members left in its HA group (negative), chance; the least first
Place = tuple[
    float, int, bytes, str
]  # share used, place among the domains of its site, chance; the domain


def cap(size: int) -> int:
    """How many hosts of a failure domain of `size` may change at once."""
    return max(1, size * DOMAIN_SHARE // 100)


class Batch:
    """The wave that is being filled, and what may not join it any more."""

    def __init__(self, room: int) -> None:
        self.room = room
        self.hosts: list[Host] = []
        self.domains: Counter[str] = Counter()
        self._groups: set[str] = set()
        self._kinds: set[str] = set()

    def full(self) -> bool:
        return len(self.hosts) >= self.room

    def add(self, host: Host) -> None:
        self.hosts.append(host)
        self.domains[host.domain] += 1
        if host.ha_group:
            self._groups.add(host.ha_group)
        if host.ring == INFRA:
            self._kinds.add(host.kind)

    def blocks(self, host: Host) -> bool:
        """Whether the wave has one of its HA group, or of its kind of infrastructure."""
        return host.ha_group in self._groups or (host.ring == INFRA and host.kind in self._kinds)


class Picker:
    """Hosts that no wave has yet. Nothing depends on the order they come in: every tie is broken by their ranks."""

    def __init__(self, hosts: Sequence[Host], seed: int) -> None:
        self._ranks = {host.name: rank(seed, host.name) for host in hosts}
        self.left = {host.name: host for host in hosts}
        self.covered: set[str] = set()
        self._members = Counter(host.ha_group for host in hosts if host.ha_group)
        self._sizes = Counter(host.domain for host in hosts)
        self._used: Counter[str] = Counter()
        self._places = _places(hosts, seed)
        self._classes = _by_size(hosts, seed)
        self._queues: dict[tuple[str, str], list[Entry]] = defaultdict(list)
        for host in hosts:
            self._queue(host)

    def fill(self, batch: Batch, rings: Sequence[str], covered: set[str] | None = None) -> None:
        """Fill a wave from the rings, one after the other. `covered`: classes that need not come first."""
        for ring in rings:
            self._cover(batch, ring, self.covered if covered is None else covered)
            self._spread(batch, ring, capped=True)
            self._spread(batch, ring, capped=False)

    def _take(self, host: Host, batch: Batch) -> None:
        batch.add(host)
        del self.left[host.name]
        self.covered.add(host.class_name)
        self._used[host.domain] += 1
        if host.ha_group:
            self._members[host.ha_group] -= 1

    # --- classes

    def _cover(self, batch: Batch, ring: str, covered: set[str]) -> None:
        for name, members in self._classes.items():
            if batch.full():
                return
            if name in covered:
                continue
            free = [
                host
                for host in members
                if host.ring == ring and host.name in self.left and not batch.blocks(host)
            ]
            if free:
                self._take(min(free, key=lambda host: self._preference(host, batch)), batch)
                covered.add(name)

    def _preference(self, host: Host, batch: Batch) -> tuple[bool, Place, Entry]:
        return not self._under_cap(host.domain, batch), self._place(host.domain), self._entry(host)

    # --- failure domains

    def _spread(self, batch: Batch, ring: str, *, capped: bool) -> None:
        """Take hosts until the wave is full or no domain has one that may join it."""
        places = [
            self._place(domain)
            for domain in self._places
            if self._queues[ring, domain] and (not capped or self._under_cap(domain, batch))
        ]
        heapify(places)
        blocked: list[Host] = []
        while places and not batch.full():
            domain = heappop(places)[-1]
            host = self._next(self._queues[ring, domain], batch, blocked)
            if host is not None:
                self._take(host, batch)
                if not capped or self._under_cap(domain, batch):
                    heappush(places, self._place(domain))
        for host in blocked:
            self._queue(host)

    def _next(self, queue: list[Entry], batch: Batch, blocked: list[Host]) -> Host | None:
        """The first of a queue that may join. Entries written before others of their HA group went are renewed."""
        while queue:
            entry = heappop(queue)
            host = entry[-1]
            if host.name not in self.left:
                continue
            if batch.blocks(host):
                blocked.append(host)
            elif entry[0] != self._entry(host)[0]:
                heappush(queue, self._entry(host))
            else:
                return host
        return None

    def _queue(self, host: Host) -> None:
        heappush(self._queues[host.ring, host.domain], self._entry(host))

    def _entry(self, host: Host) -> Entry:
        return -self._members[host.ha_group], self._ranks[host.name], host

    def _place(self, domain: str) -> Place:
        return self._used[domain] / self._sizes[domain], *self._places[domain], domain

    def _under_cap(self, domain: str, batch: Batch) -> bool:
        return batch.domains[domain] < cap(self._sizes[domain])


def _places(hosts: Iterable[Host], seed: int) -> dict[str, tuple[int, bytes]]:
    """Of equally used domains the first of every site comes first, then the second of every site."""
    sites: dict[str, set[str]] = defaultdict(set)
    for host in hosts:
        sites[host.site].add(host.domain)
    shuffled = (sorted(domains, key=lambda name: rank(seed, name)) for domains in sites.values())
    return {name: (index, rank(seed, name)) for site in shuffled for index, name in enumerate(site)}


def _by_size(hosts: Iterable[Host], seed: int) -> dict[str, list[Host]]:
    """Hosts by class, the largest class first."""
    classes: dict[str, list[Host]] = defaultdict(list)
    for host in hosts:
        classes[host.class_name].append(host)
    return dict(sorted(classes.items(), key=lambda item: (-len(item[1]), rank(seed, item[0]))))
