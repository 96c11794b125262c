"""What changes in meaning for one host, from its two bundles alone: connections to and from it, and its settings."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tcmicro_agent.policy.difference.diff import NEW, OLD, Shift, Turn, shifts, turns
from tcmicro_agent.policy.inventory import Inventory
from tcmicro_agent.policy.model import Bundle, Direction
from tcmicro_agent.policy.reach.decisions import Decisions
from tcmicro_agent.policy.reach.parties import Bodies, Party, find_parties

SHOWN_NETWORKS = 3
WORLD_NAME = "world"


@dataclass(frozen=True)
class PeerChange:
    """One shift for connections from (ingress) or to (egress) some peers."""

    direction: Direction
    shift: Shift
    peers: tuple[Party, ...]


@dataclass(frozen=True)
class BundleChanges:
    """Empty when the bundles mean the same."""

    old: Bundle
    new: Bundle
    connections: tuple[PeerChange, ...]
    turns: tuple[Turn, ...]

    def __bool__(self) -> bool:
        return bool(self.connections or self.turns)


def bundle_changes(old: Bundle, new: Bundle) -> BundleChanges:
    """Between the bundle a host has and the one it shall have; peers are as the bundles know them."""
    parties = find_parties(Bodies((old, new), {}), Inventory({}))
    found = _connections(Decisions(old), Decisions(new), parties)
    connections = [
        PeerChange(direction, shift, tuple(peers)) for (direction, shift), peers in found.items()
    ]
    connections.sort(key=lambda c: (not c.shift.opens, c.direction.value, c.shift.services))
    settings = turns({new.host: old}, {new.host: new})
    return BundleChanges(old, new, tuple(connections), tuple(settings))


def _connections(
    old: Decisions, new: Decisions, parties: list[Party]
) -> dict[tuple[Direction, Shift], list[Party]]:
    found: dict[tuple[Direction, Shift], list[Party]] = {}
    known: dict[tuple[int, ...], tuple[Shift, ...]] = {}
    for direction in Direction:
        for peer in parties:
            before = old.spans(direction, peer.seen[OLD])
            after = new.spans(direction, peer.seen[NEW])
            key = peer.version, id(before), id(after)
            if key not in known:
                known[key] = tuple(shifts([before], [after], peer.version))
            for shift in known[key]:
                found.setdefault((direction, shift), []).append(peer)
    return found


def names(found: BundleChanges, peers: tuple[Party, ...]) -> Iterator[str]:
    """Peers by the names of their identities; by addresses too, where an address changes its name."""
    old, new = ({i.number: i.name for i in bundle.identities} for bundle in (found.old, found.new))
    merged: dict[tuple[str, str], list[str]] = {}
    for peer in peers:
        name = old.get(peer.seen[OLD], WORLD_NAME), new.get(peer.seen[NEW], WORLD_NAME)
        merged.setdefault(name, []).extend(map(str, peer.networks))
    for (before, after), networks in merged.items():
        yield after if before == after else f"{after} ({_shortened(networks)})"


def _shortened(networks: list[str]) -> str:
    hosts = [text.removesuffix("/32").removesuffix("/128") for text in networks]
    more = len(hosts) - SHOWN_NETWORKS
    return ", ".join(hosts[:SHOWN_NETWORKS]) + (f" and {more} more" if more > 0 else "")
