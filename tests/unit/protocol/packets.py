"""A packet as a process of its own: it reads the word, then the header of that slot, then its entries."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from .state import Reader, State

PATIENCE = 2  # flips; a packet is judged in microseconds, two changes of policy take longer


def read(host: State) -> Iterator[tuple[str, State]]:
    packet = host.reader
    if packet is None:
        return
    if packet.slot < 0:
        slot = host.kernel.word.live(host.clock)
        yield "packet: reads the word", replace(host, reader=Reader(slot))
        return
    there = host.kernel.slots[packet.slot]
    if packet.generation < 0:
        header = replace(packet, generation=there.generation)
        yield "packet: reads the header", replace(host, reader=header)
        return
    mixed = packet.generation not in (0, there.entries)
    yield "packet: reads the entries", replace(host, reader=Reader(), mixed=mixed)


def age(before: State, after: State) -> State:
    """Counts the flips a packet lives through; it is through before the last of its patience."""
    packet = after.reader
    if packet is None or packet.slot < 0 or _live(before) == _live(after):
        return after
    aged = replace(packet, flips=packet.flips + 1)
    return replace(after, reader=aged if aged.flips < PATIENCE else Reader())


def _live(host: State) -> int:
    return host.kernel.word.live(host.clock)
