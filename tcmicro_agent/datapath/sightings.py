"""Whether one new flow was seen and judged by a generation: by its session, by its event, or by the sum of what was not
sent. Takes nothing away from those who follow events.
"""

from __future__ import annotations

import mmap
import os
import sys
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from tcmicro_agent import abi
from tcmicro_agent.abi import Address, Direction, Reason, SessionFlag, SessionTable
from tcmicro_agent.datapath import events, libbpf
from tcmicro_agent.datapath.kernel import Kernel
from tcmicro_agent.events import Event

TCP = 6
ALLOWED = (Reason.RULE_ALLOW, Reason.DEFAULT_ALLOW)
REFUSED = (Reason.RULE_DENY, Reason.DEFAULT_DENY)
RECORD = 8 + abi.EVENT.size  # header and event, a multiple of 8
BUSY_OR_DISCARDED = 3 << 30


@dataclass(frozen=True)
class Flow:
    """Of a peer and this host, whoever of them opened it; `port` is ours."""

    remote: Address
    remote_port: int
    local: Address
    port: int
    protocol: int

    def is_of(self, event: Event) -> bool:
        theirs, ours = (event.remote, event.remote_port), (event.local, event.local_port)
        return (
            event.direction is Direction.INGRESS
            and event.protocol == self.protocol
            and (theirs, ours) == ((self.remote, self.remote_port), (self.local, self.port))
        )


class Sightings:
    """Of one generation since a moment, in ns since boot. `silent`: counter indices of rules that tell nothing."""

    def __init__(
        self, kernel: Kernel, generation: int, since_ns: int, silent: Collection[int] = ()
    ) -> None:
        self._kernel = kernel
        self._silent = silent
        self._generation = generation
        self._told = events.told_reasons(kernel)
        self._events = [
            event
            for event in peek(kernel)
            if event.generation == generation and event.time_ns >= since_ns
        ]
        self._sums = [s for s in events.sums(kernel) if s.generation == generation]

    def allowed(self, flow: Flow) -> bool:
        """Its session is stamped with the generation and was opened by the peer, and a first packet of it was told;
        where such decisions are not told, the session alone has to do."""
        found = self._session(flow)
        if found is None:
            return False
        told = any(self._told >> reason & 1 for reason in ALLOWED)
        return not told or found.rule in self._silent or self._was_told(flow, ALLOWED)

    def refused(self, flow: Flow) -> bool:
        return self._was_told(flow, REFUSED)

    def _was_told(self, flow: Flow, reasons: tuple[Reason, ...]) -> bool:
        return any(flow.is_of(event) and event.reason in reasons for event in self._events) or any(
            (entry.port, entry.protocol) == (flow.port, flow.protocol)
            and entry.direction is Direction.INGRESS
            and entry.reason in reasons
            for entry in self._sums
        )

    def _session(self, flow: Flow) -> abi.Session | None:
        return session_by(self._kernel, self._generation, flow, Direction.INGRESS)


def session_by(
    kernel: Kernel, generation: int, flow: Flow, opener: Direction
) -> abi.Session | None:
    """The entry of a flow that a generation judged as a new one and let pass: nothing else makes such an entry."""
    taken = SessionFlag.ADOPTED | SessionFlag.TRIED | SessionFlag.FORWARDED
    fitting = (
        session
        for session in sessions_of(kernel, flow)
        if session.generation == generation
        and session.opener is opener
        and not session.flags & taken
    )
    return next(fitting, None)


def sessions_of(kernel: Kernel, flow: Flow) -> Iterator[abi.Session]:
    """The entries of a flow, half-open and answered: one, or for a moment two."""
    six = flow.remote.version == 6
    layout = abi.SESSION6_KEY if six else abi.SESSION4_KEY
    ports = (port.to_bytes(2, "big") for port in (flow.port, flow.remote_port))
    key = layout.pack(flow.local.packed, flow.remote.packed, *ports, flow.protocol)
    answered = SessionTable.TCP4 if flow.protocol == TCP else SessionTable.OTHER4
    for table in (SessionTable.HALF4, answered):
        value = kernel.map(SessionTable(table + six).map_name).get(key)
        if value is not None:
            yield abi.Session.decode(key, value)


def peek(kernel: Kernel) -> Iterator[Event]:
    """What the ring still holds, taken or not, the oldest first. All its records are of one size, so that each has a
    place that can be told from where the writer is."""
    fd = libbpf.get(kernel.pins / "tcm_events")
    try:
        size, page = libbpf.capacity(fd), mmap.PAGESIZE
        with mmap.mmap(fd, page + 2 * size, mmap.MAP_SHARED, mmap.PROT_READ, offset=page) as ring:
            written = int.from_bytes(ring[:8], sys.byteorder)
            first = max(written - size, 0)
            for at in range(-(-first // RECORD) * RECORD, written - RECORD + 1, RECORD):
                start = page + at % size  # mapped twice, so that no record is broken
                head = int.from_bytes(ring[start : start + 4], sys.byteorder)
                if not head & BUSY_OR_DISCARDED and head == abi.EVENT.size:
                    yield Event.decode(ring[start + 8 : start + RECORD])
    finally:
        os.close(fd)
