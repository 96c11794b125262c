# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts to compare a wave with: not changed yet, and as like its hosts as can be. Pure."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Sequence
from itertools import chain

from ansible_collections.tcmicro.fleet.plugins.plugin_utils.planner.hosts import Host, rank

LEAST, MOST = 20, 40


def controls(waves: Sequence[Sequence[Host]], seed: int) -> list[list[Host]]:
    """Controls of each wave, as many as it has hosts, but LEAST to MOST of them; none for the last wave.

    They are of the waves after the next; only where those hold fewer than LEAST, the next lends the rest.
    """
    found = []
    for index, wave in enumerate(waves):
        wanted = max(LEAST, min(MOST, len(wave)))
        later = list(chain.from_iterable(waves[index + 2 :]))
        chosen = _match(wave, later, wanted, seed)
        lent = _match(wave, chain(*waves[index + 1 : index + 2]), LEAST - len(chosen), seed)
        found.append(chosen + lent)
    return found


def _match(wave: Sequence[Host], candidates: Iterable[Host], wanted: int, seed: int) -> list[Host]:
    """In turns for each host of the wave one of its class, of its own failure domain if there is one; then others.

    Who takes over the work of a host that changes is unlike itself meanwhile, so members of its HA group come last.
    """
    groups = {host.ha_group for host in wave if host.ha_group}
    ranked = sorted(candidates, key=lambda host: (host.ha_group in groups, rank(seed, host.name)))
    shelves = _shelves(host for host in ranked if host.ha_group not in groups)
    chosen: dict[str, Host] = {}
    turns = deque(wave)
    while turns and len(chosen) < wanted:
        host = turns.popleft()
        match = _first(shelves, _likeness(host), chosen)
        if match is not None:
            chosen[match.name] = match
            turns.append(host)
    rest = [host for host in ranked if host.name not in chosen]
    return [*chosen.values(), *rest[: max(0, wanted - len(chosen))]]


def _likeness(host: Host) -> tuple[tuple[str, str], ...]:
    """Shelves where hosts like it are found, the closest first."""
    return (host.class_name, host.domain), (host.class_name, f"{host.site}/"), (host.class_name, "")


def _shelves(ranked: Iterable[Host]) -> dict[tuple[str, str], deque[Host]]:
    shelves: dict[tuple[str, str], deque[Host]] = defaultdict(deque)
    for host in ranked:
        for shelf in dict.fromkeys(_likeness(host)):
            shelves[shelf].append(host)
    return shelves


def _first(
    shelves: dict[tuple[str, str], deque[Host]],
    places: Iterable[tuple[str, str]],
    chosen: dict[str, Host],
) -> Host | None:
    for place in places:
        shelf = shelves.get(place)
        while shelf:
            host = shelf.popleft()
            if host.name not in chosen:
                return host
    return None
