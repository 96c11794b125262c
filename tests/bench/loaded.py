"""Datapaths of our own: a bpf file system that goes with the run, objects loaded below it, the cycle, the CPU."""

from __future__ import annotations

import ctypes
import mmap
import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from ipaddress import IPv4Address
from pathlib import Path
from struct import Struct

from tcmicro_agent import abi
from tcmicro_agent.datapath import libbpf
from tcmicro_agent.datapath.kernel import Kernel
from tcmicro_agent.tables import Tables
from tcmicro_agent.tuning import SESSIONS_FLOOR, Tuning
from tests.bench.measure import MeasurementError
from tests.datapath.harness import Datapath
from tools.compile_bpf import OBJECT, compile_object

ROOT = Path(__file__).parents[2]
BUILD = ROOT / "build/bench"
FLOOR, CYCLE = BUILD / "floor.bpf.o", BUILD / "cycle.bpf.o"
SOURCES = {FLOOR: "tests/bench/floor.bpf.c", CYCLE: "tests/bench/cycle.bpf.c"}
CYCLE_LAYOUT = Struct("=IIIIII")
CAPACITY = SESSIONS_FLOOR  # sessions per map, unless a measurement is about another number
CLONE_NEWNET = 0x40000000
ZERO = abi.U32.pack(0)

# The CPU that is measured on, and one for the work beside it: the same where there is only one.
BESIDE, *_, MEASURED = 2 * sorted(os.sched_getaffinity(0))


def build() -> None:
    """Compiles the objects that only measurements need."""
    for target, source in SOURCES.items():
        compile_object(ROOT, target, source)


@contextmanager
def bpf_filesystem() -> Iterator[Path]:
    """Mounted for the length of a `with`; what is pinned there goes with it."""
    with tempfile.TemporaryDirectory() as place:
        subprocess.run(["mount", "-t", "bpf", "bpf", place], check=True)
        try:
            yield Path(place)
        finally:
            subprocess.run(["umount", place], check=True)


@contextmanager
def empty_namespace() -> Iterator[None]:
    """This thread in a new network namespace, where no socket of the machine answers for a packet."""
    libc = ctypes.CDLL(None, use_errno=True)
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    if libc.unshare(CLONE_NEWNET):
        raise MeasurementError(f"no network namespace: {os.strerror(ctypes.get_errno())}")
    try:
        yield
    finally:
        libc.setns(home, CLONE_NEWNET)
        os.close(home)


class Loaded(Datapath):
    """An object below a bpf file system: the real one, or the one whose packets cycle through flows."""

    def __init__(self, pins: Path, path: Path = OBJECT, *, tuning: Tuning | None = None) -> None:
        tuning = tuning or Tuning(capacity=CAPACITY)
        kernel = Kernel(pins)
        kernel.load(path, tuning.map_sizes(0))
        super().__init__(kernel)
        self.tune(tuning)
        self._opened = ExitStack()
        self._programs: dict[str, libbpf.Program] = {}

    def program(self, name: str) -> libbpf.Program:
        """One of the object's programs, open for as long as the datapath is loaded."""
        if name not in self._programs:
            opened = self._opened.enter_context(self.kernel.programs.open(name))
            self._programs[name] = opened.program
        return self._programs[name]

    def install(self, tables: Tables) -> None:
        """Makes ready tables live for good."""
        word = self.kernel.control().word
        self.kernel.clear_slot(tables.slot)
        self.kernel.fill_slot(tables)
        desired = abi.Word(tables.slot, word.active, 0).encode()
        if self.kernel.transition(word.encode(), desired) is not abi.TransitionResult.SWAPPED:
            raise MeasurementError("the control word was changed by somebody else")
        self.generation = tables.header.generation

    def cycle(self, count: int, first: str, **how: int) -> None:
        """What the packets of the next run become: `count` flows, the peers' addresses from `first` up."""
        names = ("repeats", "count", "base", "in_turn", "ports")
        values = {"count": count, "base": int(IPv4Address(first)), **how}
        packed = CYCLE_LAYOUT.pack(0, *(values.get(name, 0) for name in names))
        self._cycle_map().put(ZERO, packed)

    def _cycle_map(self) -> libbpf.Map:
        if not hasattr(self, "_cycle"):
            pin = libbpf.get(self.kernel.pins / "bench_cycle")
            self._cycle = libbpf.Map(pin, 4, CYCLE_LAYOUT.size)
        return self._cycle

    def counted(
        self, *reasons: abi.Reason, direction: abi.Direction = abi.Direction.INGRESS
    ) -> int:
        """Packets of that direction that were counted for one of these reasons."""
        indices = [
            abi.counter_index(direction, reason, bank) for reason in reasons for bank in abi.Bank
        ]
        return sum(self.kernel.count("tcm_counters", index)[0] for index in indices)

    def drain_events(self) -> None:
        """Reads all events at once by moving the reader's position: a full ring would make events free."""
        with (
            _ring_page(self.kernel, 0, mmap.PROT_READ | mmap.PROT_WRITE) as consumer,
            _ring_page(self.kernel, mmap.PAGESIZE, mmap.PROT_READ) as producer,
        ):
            consumer[:8] = producer[:8]

    def close(self) -> None:
        self._opened.close()
        if hasattr(self, "_cycle"):
            os.close(self._cycle.fd)
        self.kernel.close()
        self.kernel.unpin()


@contextmanager
def _ring_page(kernel: Kernel, offset: int, protection: int) -> Iterator[mmap.mmap]:
    """The page with the reader's or the writer's position of tcm_events."""
    fd = libbpf.get(kernel.pins / "tcm_events")
    try:
        with mmap.mmap(fd, mmap.PAGESIZE, mmap.MAP_SHARED, protection, offset=offset) as page:
            yield page
    finally:
        os.close(fd)


@contextmanager
def loaded(
    bpffs: Path, name: str, path: Path = OBJECT, *, tuning: Tuning | None = None
) -> Iterator[Loaded]:
    """A datapath for the length of a `with`."""
    datapath = Loaded(bpffs / name / str(abi.ABI), path, tuning=tuning)
    try:
        yield datapath
    finally:
        datapath.close()


@contextmanager
def floor_program(bpffs: Path) -> Iterator[libbpf.Program]:
    """The program that returns OK and does nothing."""
    opened = libbpf.load(FLOOR, bpffs, {})
    try:
        yield opened.programs["floor_ok"]
    finally:
        opened.close()
