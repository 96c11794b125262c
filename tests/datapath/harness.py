"""A loaded datapath as tests see it: make a bundle live, send packets, read verdicts and reasons."""

from __future__ import annotations

import ctypes
import os
from collections import Counter

from tcmicro_agent import abi, tables
from tcmicro_agent.datapath import libbpf, trial
from tcmicro_agent.datapath.kernel import NEVER, Kernel
from tcmicro_agent.datapath.programs import PROGRAMS
from tcmicro_agent.policy.model import Bundle
from tcmicro_agent.tuning import Tuning

PASSES, DROPS = 0xFFFFFFFF, 2  # TC_ACT_UNSPEC, TC_ACT_SHOT
BUFFER = 1 << 16
CONTEXT_WORDS, GSO_SIZE_AT = 48, 44  # struct __sk_buff in words, and its gso_size


class Judge:
    """One loaded program and buffers made once: a verdict costs one system call."""

    def __init__(self, kernel: Kernel, name: str) -> None:
        self._program = libbpf.Program(libbpf.get(kernel.pins / "programs" / name))
        self._data = ctypes.create_string_buffer(BUFFER)
        self._options = libbpf._TestRunOptions(
            sz=ctypes.sizeof(libbpf._TestRunOptions),
            data_in=ctypes.cast(self._data, ctypes.c_void_p),
            repeat=1,
        )
        self._context = (ctypes.c_uint32 * CONTEXT_WORDS)()
        self._reference = ctypes.byref(self._options)
        self._run = libbpf.library().bpf_prog_test_run_opts

    def __call__(self, packet: bytes, *, repeat: int = 1, gso_size: int = 0) -> bool:
        """Whether the packet passes; with `repeat` the last time. `gso_size`: it stands for many segments."""
        self._context[GSO_SIZE_AT] = gso_size
        self._options.ctx_in = ctypes.addressof(self._context) if gso_size else None
        self._options.ctx_size_in = ctypes.sizeof(self._context) if gso_size else 0
        ctypes.memmove(self._data, packet, len(packet))
        self._options.data_size_in = len(packet)
        self._options.data_size_out = 0  # the kernel left a size there
        self._options.repeat = repeat
        if self._run(self._program.fd, self._reference) < 0:
            raise OSError(ctypes.get_errno(), f"test run of {len(packet)} bytes")
        assert self._options.retval in (PASSES, DROPS), self._options.retval
        return bool(self._options.retval == PASSES)

    def close(self) -> None:
        os.close(self._program.fd)


class Datapath:
    """The loaded programs with one bundle live: send packets in, get verdicts out."""

    def __init__(self, kernel: Kernel) -> None:
        """Takes the kernel over as if nothing had been enforced yet."""
        self.kernel = kernel
        self.generation = max(header.generation for header in kernel.headers())
        self.numbers: dict[str, int] = {}
        self.judges = {way: Judge(kernel, name) for way, name in PROGRAMS.items()}
        kernel.set_failsafe(frozenset())
        for slot in range(abi.SLOTS):
            kernel.clear_slot(slot)
        kernel.transition(NEVER, NEVER)  # an expired word gives way only once it is latched
        kernel.transition(kernel.control().word.encode(), 0)
        trial.write_word(kernel, abi.TrialWord(None))
        trial.forget_differences(kernel)
        self.tune(Tuning())
        self.forget_sessions()

    def tune(self, tuning: Tuning, *, forwarding: int = 0) -> None:
        self.kernel.set_settings(tuning.settings(self.kernel.hz(), forwarding=forwarding))

    def limit_syns(self, *, source: tuple[int, int], listener: tuple[int, int] = (0, 0)) -> None:
        """(on, off) per window; and no window ends while a test runs."""
        table, zero = self.kernel.map("tcm_settings"), abi.U32.pack(0)
        values = list(abi.SETTINGS.unpack(table.get(zero)))
        values[abi.Setting.SYN_WINDOW : abi.Setting.SYN_LISTENER_OFF + 1] = 30, *source, *listener
        table.put(zero, abi.SETTINGS.pack(*values))

    def expire_after(self, **jiffies: int) -> None:
        """Other time-outs: of TCP by state (`closing=5`), of other protocols as `asked` and `replied`."""
        table, zero = self.kernel.map("tcm_settings"), abi.U32.pack(0)
        fields = list(abi.SETTINGS.unpack(table.get(zero)))
        names = [*(state.name.lower() for state in abi.SessionState), "asked", "replied"]
        for name, value in jiffies.items():
            fields[1 + names.index(name)] = value
        table.put(zero, abi.SETTINGS.pack(*fields))

    def enforce(self, bundle: Bundle) -> None:
        """Makes a bundle live for good, in a spare slot as the agent does."""
        word = self.kernel.control().word
        self.generation += 1
        uids = tables.rule_uids(bundle)
        self.numbers = tables.number_rules(self.numbers, uids, set(self.numbers))
        slot = next(n for n in range(abi.SLOTS) if n not in (word.active, word.fallback))
        built = tables.encode(
            bundle, slot=slot, generation=self.generation, mode=bundle.mode, numbers=self.numbers
        )
        self.kernel.clear_slot(slot)
        self.kernel.fill_slot(built)
        result = self.kernel.transition(word.encode(), abi.Word(slot, word.active, 0).encode())
        assert result is abi.TransitionResult.SWAPPED

    def ingress(self, packet: bytes) -> bool:
        """Whether a packet to us passes."""
        return self.judges[abi.Direction.INGRESS](packet)

    def egress(self, packet: bytes) -> bool:
        """Whether a packet of ours passes."""
        return self.judges[abi.Direction.EGRESS](packet)

    def close(self) -> None:
        for judge in self.judges.values():
            judge.close()

    def reason(
        self, direction: abi.Direction, packet: bytes, bank: abi.Bank = abi.Bank.ENFORCED
    ) -> abi.Reason:
        """Sends a packet and tells which counter moved."""
        before = self.counts()
        self.judges[direction](packet)
        moved = self.counts() - before
        assert len(moved) == moved.total() == 1, moved
        [(found, way, reason)] = moved
        assert (found, way) == (bank, direction)
        return reason

    def counts(self) -> Counter[tuple[abi.Bank, abi.Direction, abi.Reason]]:
        """Packets counted so far, over all CPUs."""
        table, width = self.kernel.map("tcm_counters"), 2 * libbpf.possible_cpus()
        words = memoryview(_whole(table, abi.COUNTERS)).cast("Q")
        totals = [sum(words[at : at + width : 2]) for at in range(0, len(words), width)]
        return Counter({PLACES[n]: packets for n, packets in enumerate(totals) if packets})

    def sessions(self) -> list[abi.Session]:
        chunks = self.kernel.sessions.chunks()
        return [chunk.session(n) for chunk in chunks for n in range(len(chunk))]

    def forget_sessions(self) -> None:
        for chunk in self.kernel.sessions.chunks():
            self.kernel.sessions.delete(chunk, range(len(chunk)))


PLACES = {
    abi.counter_index(direction, reason, bank): (bank, direction, reason)
    for bank in abi.Bank
    for direction in abi.Direction
    for reason in abi.Reason
}


def _whole(table: libbpf.Map, entries: int) -> bytes:
    """The values of an array map, one after the other: in one call where the kernel can (5.13)."""
    keys, following = ctypes.create_string_buffer(4 * entries), ctypes.c_uint32()
    values = ctypes.create_string_buffer(table._value_bytes * entries)
    count = ctypes.c_uint32(entries)
    found = libbpf.library().bpf_map_lookup_batch(
        table.fd, None, ctypes.byref(following), keys, values, ctypes.byref(count), None
    )
    if found >= 0 or ctypes.get_errno() == libbpf.ENOENT:
        return values.raw
    return b"".join(table.get(abi.U32.pack(n)) or b"" for n in range(entries))
