"""The part of all policy maps that belongs to one slot: filled, removed and summed up, all maps at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from threading import Thread
from typing import TypeVar

from tcmicro_agent.datapath import batches
from tcmicro_agent.datapath.layouts import ROOM
from tcmicro_agent.datapath.libbpf import Map
from tcmicro_agent.errors import MapFullError
from tcmicro_agent.tables import POLICY_MAPS, Tables, checksum, in_slot

T = TypeVar("T")
OpenMap = Callable[[str], Map]


def fill(open_map: OpenMap, tables: Tables) -> None:
    """Raises MapFullError when the policy does not fit."""

    def put(name: str, table: Map) -> None:
        entries = tables.entries[name]
        try:
            batches.put(table, entries.key_bytes, entries.value_bytes)
        except MapFullError as exc:
            raise _too_big(name, len(entries), table.capacity()) from exc

    _on_maps(open_map, tuple(tables.entries), put)


def clear(open_map: OpenMap, slot: int) -> None:
    def delete(name: str, table: Map) -> None:
        keys, _ = batches.read(table)
        size = table.key_size
        ours = [keys[size * n : size * (n + 1)] for n in in_slot(name, keys, size, slot)]
        batches.delete(table, b"".join(ours))

    _on_maps(open_map, POLICY_MAPS, delete)


def checksums(open_map: OpenMap, slot: int) -> dict[str, int]:
    """By map, as `tables.checksum`, of what the kernel holds."""

    def of(name: str, table: Map) -> int:
        keys, values = batches.read(table)
        key, value = table.key_size, table.value_size
        return checksum(
            keys[key * n : key * (n + 1)] + values[value * n : value * (n + 1)]
            for n in in_slot(name, keys, key, slot)
        )

    return _on_maps(open_map, POLICY_MAPS, of)


def _on_maps(open_map: OpenMap, names: Sequence[str], act: Callable[[str, Map], T]) -> dict[str, T]:
    """Does one thing to several maps at once: ctypes holds no lock of Python's while the kernel works. Raises what
    any of them raised, once all have ended."""
    tables = {name: open_map(name) for name in names}
    found: dict[str, T] = {}
    faults: list[Exception] = []

    def attempt(name: str) -> None:
        try:
            found[name] = act(name, tables[name])
        except Exception as exc:
            faults.append(exc)

    # plain threads: importing a pool of them takes longer than all they do for a usual policy
    threads = [Thread(target=attempt, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if faults:
        raise faults[0]
    return found


def _too_big(name: str, entries: int, capacity: int) -> MapFullError:
    return MapFullError(
        f"{name}: this policy has {entries} entries, and not all fit beside those of the other slots: "
        f"it holds {capacity}",
        hint=f"{ROOM.get(name, 'name fewer networks')}; nothing was changed",
    )
