"""Which tracked flows are past their time, and which ones somebody asks for. Pure: over the bytes of a dump, where
only what decides is looked at, because a host has hundred thousands of sessions.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from itertools import repeat
from typing import Union

from tcmicro_agent import abi
from tcmicro_agent.abi import SessionState, SessionTable

Address = Union[IPv4Address, IPv6Address]
Network = Union[IPv4Network, IPv6Network]
TCP = 6
HALF_OPEN = (SessionTable.HALF4, SessionTable.HALF6)
ANSWERED_TCP = (SessionTable.TCP4, SessionTable.TCP6)
STATES = 256  # a state is one byte; a session whose state is none has expired
NOTHING_FRESH = 1 << 64
NO_GENERATION = bytes(4)  # the first field of a session


@dataclass(frozen=True)
class Chunk:
    """Some sessions of one table: their keys one behind the other, and so their values."""

    table: SessionTable
    keys: bytes
    values: bytes

    def __len__(self) -> int:
        return len(self.values) // abi.SESSION.size

    def key(self, index: int) -> bytes:
        size = self.table.key.size
        return self.keys[index * size : (index + 1) * size]

    def value(self, index: int) -> bytes:
        return self.values[index * abi.SESSION.size : (index + 1) * abi.SESSION.size]

    def session(self, index: int) -> abi.Session:
        return abi.Session.decode(self.key(index), self.value(index))

    @property
    def protocols(self) -> bytes:
        return self.keys[self.table.key.size - abi.PROTOCOL_FROM_END :: self.table.key.size]

    @property
    def states(self) -> bytes:
        return self.values[abi.STATE_OFFSET :: abi.SESSION.size]

    @property
    def last_seen(self) -> list[int]:
        words = memoryview(self.values).cast("Q")
        return words[abi.LAST_SEEN_OFFSET // 8 :: abi.SESSION.size // 8].tolist()


@dataclass(frozen=True)
class Timeouts:
    """Jiffies without a packet that end a session: TCP by state, other protocols unanswered and answered."""

    tcp: tuple[int, ...]
    datagram: tuple[int, int]

    @classmethod
    def decode(cls, settings: bytes) -> Timeouts:
        """As the kernel programs have them in tcm_settings."""
        _, *rest = abi.SETTINGS.unpack(settings)
        states = len(SessionState)
        return cls(tuple(rest[:states]), (rest[states], rest[states + 1]))

    def freshest_expired(self, protocol: int, now: int) -> list[int]:
        """By state, the `last_seen` that a session must not be below."""
        unanswered, answered = self.datagram
        limits = self.tcp if protocol == TCP else (unanswered, unanswered, *[answered] * 3)
        return [now - limit for limit in limits] + [NOTHING_FRESH] * (STATES - len(limits))


def expired(chunk: Chunk, timeouts: Timeouts, now: int) -> list[int]:
    """The sessions that expired() of bpf/session.h calls so at `now` jiffies, by their place in the chunk."""
    protocols, states, last_seen = chunk.protocols, chunk.states, chunk.last_seen
    oldest = {number: timeouts.freshest_expired(number, now) for number in set(protocols)}
    strictest = max(
        (limits[state] for limits in oldest.values() for state in set(states)), default=0
    )
    if min(last_seen, default=strictest) >= strictest:  # most chunks: no need to look at each
        return []
    rows = zip(protocols, states, last_seen)
    return [n for n, (protocol, state, seen) in enumerate(rows) if seen < oldest[protocol][state]]


def unanswered(chunk: Chunk, timeouts: Timeouts, now: int, patience: int) -> Iterator[abi.Session]:
    """TCP connections without an answer, whose opener asked twice or waited for `patience` jiffies."""
    oldest = timeouts.freshest_expired(TCP, now)[SessionState.OPENING]
    rows = enumerate(zip(chunk.protocols, chunk.states, chunk.last_seen))
    for n, (protocol, state, seen) in rows:
        if protocol == TCP and state == SessionState.OPENING and seen >= oldest:
            session = chunk.session(n)
            if seen < now - patience or session.packets[session.opener] > 1:
                yield session


def remotes(chunk: Chunk, opener: abi.Direction) -> Iterator[Address]:
    """The peer of each session that was opened so."""
    openers = chunk.values[abi.OPENER_OFFSET :: abi.SESSION.size]
    rows = zip(chunk.table.key.iter_unpack(chunk.keys), openers)
    packed = Counter(key[1] for key, opened in rows if opened == opener)
    for address, count in packed.items():
        yield from repeat(ip_address(address), count)


def home(protocol: int, state: int, *, ipv6: bool) -> SessionTable:
    """The table of a session, as remember() of bpf/session.h has it."""
    half_open = state < SessionState.ESTABLISHED
    answered = SessionTable.TCP4 if protocol == TCP else SessionTable.OTHER4
    return SessionTable((SessionTable.HALF4 if half_open else answered) + ipv6)


def to_judge_again(chunk: Chunk, since: int = 0) -> dict[SessionTable, list[tuple[bytes, bytes]]]:
    """The sessions last seen at `since` jiffies or later, by their table, with nobody's generation: their next
    packet is judged by the policy that rules then."""
    found: dict[SessionTable, list[tuple[bytes, bytes]]] = {}
    rows = zip(chunk.protocols, chunk.states, chunk.last_seen)
    for n, (protocol, state, seen) in enumerate(rows):
        if seen >= since:
            table = home(protocol, state, ipv6=chunk.table.is_ipv6)
            value = NO_GENERATION + chunk.value(n)[len(NO_GENERATION) :]
            found.setdefault(table, []).append((chunk.key(n), value))
    return found


@dataclass(frozen=True)
class Query:
    """What somebody asks for; None is everything. `port` is that of either side."""

    peer: Network | None = None
    port: int | None = None
    protocol: int | None = None
    state: SessionState | None = None

    def select(self, chunk: Chunk) -> list[int]:
        """The sessions asked for, by their place in the chunk."""
        if self.peer is not None and (self.peer.version == 6) != chunk.table.is_ipv6:
            return []
        rows = zip(chunk.table.key.iter_unpack(chunk.keys), chunk.states)
        return [n for n, (key, state) in enumerate(rows) if self._wants(key, state)]

    def _wants(self, key: tuple[bytes, bytes, bytes, bytes, int], state: int) -> bool:
        _, remote, local_port, remote_port, protocol = key
        return (
            (self.state is None or state == self.state)
            and (self.protocol is None or protocol == self.protocol)
            and (self.port is None or self.port.to_bytes(2, "big") in (local_port, remote_port))
            and (self.peer is None or _lies_in(remote, self.peer))
        )


def _lies_in(address: bytes, network: Network) -> bool:
    masked = int.from_bytes(address, "big") & int(network.netmask)
    return masked == int(network.network_address)
