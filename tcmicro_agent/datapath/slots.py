"""The part of one policy map that belongs to one slot: removed and summed up, many entries at a time."""

from __future__ import annotations

from itertools import compress

from tcmicro_agent.datapath import batches
from tcmicro_agent.datapath.libbpf import Map
from tcmicro_agent.tables import checksum, in_slot, rows


def clear(name: str, table: Map, slot: int) -> None:
    keys, _ = batches.read(table)
    belong = in_slot(name, keys, table.key_size, slot)
    batches.delete(table, b"".join(compress(rows(keys, table.key_size), belong)))


def checksum_of(name: str, table: Map, slot: int) -> int:
    """As `tables.checksum`, of what the kernel holds."""
    keys, values = batches.read(table)
    entries = zip(rows(keys, table.key_size), rows(values, table.value_size))
    return checksum(compress(entries, in_slot(name, keys, table.key_size, slot)))
