"""Many entries of a map by one system call: all keys in a row, all values in a row.

Where the kernel has no such call for the type of map (before 5.13 for prefix tables), they go one by one.
"""

from __future__ import annotations

import ctypes
import os
from ctypes import byref, c_uint32

from tcmicro_agent.datapath.libbpf import ENOENT, NO_BATCH, Map, check_write, library
from tcmicro_agent.errors import KernelError


def put(table: Map, keys: bytes, values: bytes) -> None:
    """Writes entries. Raises MapFullError."""
    count = len(keys) // table.key_size
    call = library().bpf_map_update_batch
    result = call(table.fd, keys, values, byref(c_uint32(count)), None) if count else 0
    if result < 0 and ctypes.get_errno() in NO_BATCH:
        for n in range(count):
            table.put(_row(keys, table.key_size, n), _row(values, table.value_size, n))
    else:
        check_write(result, count)


def delete(table: Map, keys: bytes) -> None:
    """Removes entries, those that are there."""
    count = len(keys) // table.key_size
    call = library().bpf_map_delete_batch
    result = call(table.fd, keys, byref(c_uint32(count)), None) if count else 0
    code = ctypes.get_errno() if result < 0 else 0
    if code in (ENOENT, *NO_BATCH):
        for n in range(count):
            table.delete(_row(keys, table.key_size, n))
    elif code:
        raise KernelError(f"delete {count} map entries: {os.strerror(code)}")


def read(table: Map) -> tuple[bytes, bytes]:
    """All keys and all values; an entry that comes or goes meanwhile may or may not be among them."""
    pages = list(table.chunks())
    return b"".join(keys for keys, _ in pages), b"".join(values for _, values in pages)


def _row(rows: bytes, size: int, number: int) -> bytes:
    return rows[number * size : (number + 1) * size]
