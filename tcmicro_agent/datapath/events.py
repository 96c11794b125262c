"""The decisions a loaded datapath tells: its ring of events, the sums of what was not sent, and how many of each."""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Iterable
from ctypes import CFUNCTYPE, c_int, c_size_t, c_void_p

from tcmicro_agent import abi
from tcmicro_agent.abi import Setting
from tcmicro_agent.datapath import libbpf
from tcmicro_agent.datapath.kernel import Kernel
from tcmicro_agent.errors import KernelError
from tcmicro_agent.events import Event, Sum, Told

BATCH = 1024  # events handed out at once
READINGS = 3
_SAMPLE = CFUNCTYPE(c_int, c_void_p, c_void_p, c_size_t)


class Ring:
    """Takes events out of the ring, each once: two readers would take them from each other.

    The kernel wakes nobody, so readers poll. What nobody takes stays, and a full ring takes no more.
    """

    def __init__(self, kernel: Kernel) -> None:
        self._taken: list[bytes] = []
        self._sample = _SAMPLE(self._keep)  # libbpf calls it for as long as the ring is open
        self._fd = libbpf.get(kernel.pins / "tcm_events")
        new = libbpf.library().ring_buffer__new
        new.restype = c_void_p
        self._handle = c_void_p(new(self._fd, self._sample, None, None))
        if not self._handle:
            code = ctypes.get_errno()
            os.close(self._fd)
            raise KernelError(f"tcm_events cannot be mapped: {os.strerror(code)}")

    def take(self) -> list[Event]:
        """Up to BATCH events, the oldest first; empty when there is none."""
        self._taken = []
        result = libbpf.library().ring_buffer__consume(self._handle)
        if result < 0 and result != -errno.ECANCELED:
            raise KernelError(f"tcm_events cannot be read: {os.strerror(-result)}")
        return [Event.decode(data) for data in self._taken]

    def close(self) -> None:
        libbpf.library().ring_buffer__free(self._handle)
        os.close(self._fd)

    def _keep(self, _context: int, data: int, size: int) -> int:
        self._taken.append(ctypes.string_at(data, size)[: abi.EVENT.size])
        return 0 if len(self._taken) < BATCH else -errno.ECANCELED  # taken, and enough for now


def told(kernel: Kernel) -> Told:
    return Told.decode(kernel.map("tcm_budget").get_each_cpu(abi.U32.pack(0)))


def sums(kernel: Kernel) -> list[Sum]:
    """Every sum, the largest first."""
    found = _counts(kernel)
    decoded = [Sum.decode(key, values) for key, values in found.items()]
    return sorted((s for s in decoded if s.packets), key=lambda s: -s.packets)


def _counts(kernel: Kernel) -> dict[bytes, list[bytes]]:
    """The counts of each sum: one per CPU, and what CPUs still hold. Where a CPU turned to another sum meanwhile, it is
    in both or in none: read again, but not for ever.
    """
    table = kernel.map("tcm_sums")
    held, found = _held(kernel), {}
    for _ in range(READINGS):
        found = {key: table.get_each_cpu(key) for key in table}
        before, held = held, _held(kernel)
        if [key for key, _ in before] == [key for key, _ in held]:
            break
    for key, count in held:
        found.setdefault(key, []).append(count)
    return found


def _held(kernel: Kernel) -> list[tuple[bytes, bytes]]:
    """Of each CPU the sum it added to last, and what is still to be added to it."""
    budgets = kernel.map("tcm_budget").get_each_cpu(abi.U32.pack(0))
    return [abi.BUDGET.unpack(budget)[-2:] for budget in budgets]


def forget(kernel: Kernel, unwanted: Iterable[Sum]) -> int:
    """Deletes sums; how many went. What is counted between reading and deleting is forgotten with them."""
    table = kernel.map("tcm_sums")
    return sum(table.delete(entry.key()) for entry in unwanted)


def told_reasons(kernel: Kernel) -> int:
    """Which reasons are told now, a bit each."""
    return int(_settings(kernel)[Setting.EVENT_REASONS])


def tell_reasons(kernel: Kernel, bits: int) -> None:
    """Changes which reasons are told, and no other setting."""
    values = _settings(kernel)
    values[Setting.EVENT_REASONS] = bits
    kernel.set_settings(abi.SETTINGS.pack(*values))


def _settings(kernel: Kernel) -> list[int]:
    found = kernel.map("tcm_settings").get(abi.U32.pack(0)) or bytes(abi.SETTINGS.size)
    return list(abi.SETTINGS.unpack(found))
