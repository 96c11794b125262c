"""How many flows are tracked, by what they have in common. Counted over raw bytes: there may be a million."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from ipaddress import ip_address
from typing import Any

from tcmicro_agent import abi, documents
from tcmicro_agent.listing import PROTOCOLS
from tcmicro_agent.reconcile import Agent
from tcmicro_agent.sessions import Chunk, Query

KINDS = ("state", "protocol", "peer", "port")
OPENER_OFFSET = abi.STATE_OFFSET - 1


def document(agent: Agent, query: Query, by: str | None, limit: int) -> dict[str, Any]:
    """`kinds`: how many groups there are, of which `groups` has the largest."""
    counted: Counter[str] = Counter()
    matching = total = 0
    for chunk in agent.kernel.sessions.chunks():
        found = query.select(chunk)
        matching, total = matching + len(found), total + len(chunk)
        if by:
            counted.update(count(chunk, found, by))
    largest = sorted(counted.items(), key=lambda item: (-item[1], item[0]))[:limit]
    groups = [{"name": name, "sessions": number} for name, number in largest]
    return documents.document(
        "SessionCount",
        by=by,
        groups=groups,
        kinds=len(counted),
        matching=matching,
        total=total,
    )


def count(chunk: Chunk, found: Iterable[int], by: str) -> Counter[str]:
    """The sessions at these places by one of KINDS."""
    if by == "state":
        states = chunk.states
        return _named(
            Counter(states[n] for n in found), {s: s.name.lower() for s in abi.SessionState}
        )
    if by == "protocol":
        protocols = chunk.protocols
        return _named(Counter(protocols[n] for n in found), PROTOCOLS)
    keys = list(chunk.table.key.iter_unpack(chunk.keys))
    if by == "peer":
        peers = Counter(keys[n][1] for n in found)
        return Counter({str(ip_address(address)): number for address, number in peers.items()})
    return _services(chunk, keys, found)


def _services(chunk: Chunk, keys: Sequence[Any], found: Iterable[int]) -> Counter[str]:
    """By protocol and the port of whoever was called."""
    openers = chunk.values[OPENER_OFFSET :: abi.SESSION.size]
    counted: Counter[tuple[int, bytes]] = Counter()
    for n in found:
        _, _, local_port, remote_port, protocol = keys[n]
        called = local_port if openers[n] == abi.Direction.INGRESS else remote_port
        counted[protocol, called] += 1
    return Counter(
        {
            f"{PROTOCOLS.get(protocol, protocol)}/{int.from_bytes(port, 'big')}": number
            for (protocol, port), number in counted.items()
        }
    )


def _named(counted: Counter[int], names: Any) -> Counter[str]:
    return Counter({str(names.get(value, value)): number for value, number in counted.items()})
