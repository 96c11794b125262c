"""The part of one policy map that belongs to one slot: removed and summed up, many entries at a time."""

from __future__ import annotations

from tcmicro_agent.datapath import batches
from tcmicro_agent.datapath.libbpf import Map
from tcmicro_agent.tables import checksum, in_slot


def clear(name: str, table: Map, slot: int) -> None:
    keys, _ = batches.read(table)
    size = table.key_size
    ours = [keys[size * n : size * (n + 1)] for n in in_slot(name, keys, size, slot)]
    batches.delete(table, b"".join(ours))


def checksum_of(name: str, table: Map, slot: int) -> int:
    """As `tables.checksum`, of what the kernel holds."""
    keys, values = batches.read(table)
    key, value = table.key_size, table.value_size
    return checksum(
        keys[key * n : key * (n + 1)] + values[value * n : value * (n + 1)]
        for n in in_slot(name, keys, key, slot)
    )
