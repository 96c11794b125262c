"""The session tables in the kernel. They come as raw bytes, thousands of sessions at a time; who wants to know more
of one decodes it. Reading does not count as use: no order of an LRU map changes by it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from tcmicro_agent import abi
from tcmicro_agent.abi import SessionTable
from tcmicro_agent.datapath import batches, libbpf
from tcmicro_agent.sessions import NO_GENERATION, Chunk

Entry = tuple[bytes, bytes]
EXPIRE = "tcm_expire"


class Sessions:
    """`open_map` gives a map by its name; `run` runs a program of ours on a request and tells what it returned."""

    def __init__(
        self, open_map: Callable[[str], libbpf.Map], run: Callable[[str, bytes], int]
    ) -> None:
        self._map = open_map
        self._run = run

    def chunks(self, *tables: SessionTable) -> Iterator[Chunk]:
        """All sessions of these tables, of every one by default."""
        for table in tables or SessionTable:
            for keys, values in self._map(table.map_name).chunks():
                yield Chunk(table, keys, values)

    def counts(self) -> dict[SessionTable, int]:
        return {table: sum(map(len, self.chunks(table))) for table in SessionTable}

    def capacities(self) -> dict[SessionTable, int]:
        return {table: self._map(table.map_name).capacity() for table in SessionTable}

    def put(self, table: SessionTable, entries: Sequence[Entry]) -> None:
        """Adds sessions that are certain not to be there."""
        keys, values = (b"".join(part) for part in zip(*entries)) if entries else (b"", b"")
        batches.put(self._map(table.map_name), keys, values)

    def put_unless_used(self, table: SessionTable, entries: Sequence[Entry]) -> None:
        """Adds sessions, but for those that the programs have used here since they were added before."""
        into = self._map(table.map_name)
        for key, value in entries:
            there = into.get(key)
            if there is None or there.startswith(NO_GENERATION):
                into.put(key, value)

    def expire(self, chunk: Chunk, found: Sequence[int]) -> int:
        """Deletes those of a chunk that were not used since it was read; how many."""
        gone = 0
        for start in range(0, len(found), abi.EXPIRE_MAX):
            some = found[start : start + abi.EXPIRE_MAX]
            entries = b"".join(chunk.key(n) + abi.last_seen(chunk.value(n)) for n in some)
            gone += self._run(EXPIRE, abi.EXPIRE_REQUEST.pack(chunk.table, len(some)) + entries)
        return gone

    def delete(self, chunk: Chunk, found: Sequence[int]) -> int:
        """Deletes those of a chunk, used or not; how many were still there."""
        table = self._map(chunk.table.map_name)
        return sum(table.delete(chunk.key(n)) for n in found)
