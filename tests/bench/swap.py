"""Changing the policy: how long it takes against nftables, and whether any packet is judged by half of one."""

from __future__ import annotations

import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import cycle
from pathlib import Path

from tcmicro_agent import abi
from tcmicro_agent.abi import DENY_REASONS, Reason
from tcmicro_agent.datapath import slots
from tcmicro_agent.policy import bundle as bundles
from tcmicro_agent.reconcile import Agent
from tcmicro_agent.store import Store, read_bundle
from tcmicro_agent.tables import Tables
from tcmicro_agent.tuning import Tuning
from tests.bench import peers
from tests.bench.goals import Result
from tests.bench.loaded import BESIDE, CYCLE, MEASURED, Loaded, loaded
from tests.bench.measure import MeasurementError, Spread, Variant, alternate, medians, ratio
from tests.bench.policies import (
    FIRST_PEER,
    PORT,
    US,
    Size,
    address,
    fleet,
    slot_tables,
)
from tests.bench.world import pair
from tests.datapath.packets import SYN, tcp_packet

LARGE = 100_000
WATCHED = 20_000  # entries per generation while packets flow
SLOTS = (1, 2, 3)


def run(bpffs: Path, *, quick: bool) -> list[Result]:
    with ExitStack() as stack:
        nft = _nft(stack)
        kernel = _kernel(stack.enter_context(loaded(bpffs, "swap", tuning=_room_for(LARGE))))
        by_agent = _agent(
            stack, stack.enter_context(loaded(bpffs, "apply", tuning=_room_for(LARGE)))
        )
        fills = alternate({"nft": nft, "kernel": kernel}, 3 if quick else 9)
        applied = {"nft": nft, "agent": by_agent}
        applies = alternate(applied, 1 if quick else 3, warm_up=0 if quick else 1)
    return [
        Result("swap_100k_over_nft_set_kernel", ratio(fills, "kernel", "nft"), _ms(fills)),
        Result("swap_100k_over_nft_set_agent", ratio(applies, "agent", "nft"), _ms(applies)),
        *_verdicts(bpffs, quick=quick),
    ]


def _ms(rounds: list) -> dict[str, float]:
    return {f"{name}_ms": seconds * 1000 for name, seconds in medians(rounds).items()}


def _room_for(entries: int) -> Tuning:
    """For four generations: the agent keeps old slots until it needs them."""
    room = 9 * entries // 2
    return Tuning(capacity=1024, hosts=room, rules=room)


# --- how long ---


def _nft(stack: ExitStack) -> Variant:
    """Replaces a live set by one of 100,000 other elements."""
    host = stack.enter_context(pair("swap", 10))
    place = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    files = [place / f"{n}.nft" for n in range(2)]
    for n, file in enumerate(files):
        file.write_text(peers.nft_replacement(LARGE, PORT + n))
    first = place / "first.nft"
    first.write_text(peers.nft_set(10))
    host.inside_server("nft", "-f", str(first))
    return _timed_swap(cycle(files), lambda file: host.inside_server("nft", "-f", str(file)))


def _kernel(datapath: Loaded) -> Variant:
    """Fills an empty slot with ready tables and flips; the emptying stands outside the clock."""
    size = Size(LARGE)
    ready = [slot_tables(size, slot=n, generation=n, first_identity=n * LARGE) for n in (1, 2)]
    turns = cycle(ready)

    def sample() -> float:
        tables = next(turns)
        datapath.kernel.clear_slot(tables.slot)
        start = time.perf_counter()
        datapath.kernel.fill_slot(tables)
        flip(datapath, tables.slot)
        return time.perf_counter() - start

    return sample


def flip(datapath: Loaded, slot: int) -> None:
    word = datapath.kernel.control().word.encode()
    result = datapath.kernel.transition(word, abi.Word(slot, slot, 0).encode())
    if result is not abi.TransitionResult.SWAPPED:
        raise MeasurementError(f"the flip to slot {slot}: {result.name.lower()}")


def _agent(stack: ExitStack, datapath: Loaded) -> Variant:
    """What `tc-micro policy apply` does with a bundle file, from reading it to the books."""
    place = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    files = [place / f"{n}.json" for n in range(2)]
    for n, file in enumerate(files):
        file.write_bytes(bundles.write(fleet(LARGE, LARGE // 10, 100, port=PORT + n)).content)
    agent = Agent(datapath.kernel, Store(place / "root"))

    def apply(file: Path) -> None:
        if not agent.apply(read_bundle(file)).changed:
            raise MeasurementError(f"{file}: the agent found nothing to change")

    return _timed_swap(cycle(files), apply)


def _timed_swap(files: Iterator[Path], swap: Callable[[Path], object]) -> Variant:
    def sample() -> float:
        file = next(files)
        start = time.perf_counter()
        swap(file)
        return time.perf_counter() - start

    return sample


# --- how right ---


def _verdicts(bpffs: Path, *, quick: bool) -> list[Result]:
    """Every generation allows every peer, but numbers them anew: whoever sees two of them at once refuses."""
    packets, swaps = (500_000, 3) if quick else (5_000_000, 20)
    found = []
    for key, change in (
        ("swap_wrong_verdicts", _flip_next),
        ("swap_control_wrong_verdicts", _rewrite_in_place),
    ):
        with loaded(bpffs, key, CYCLE, tuning=_room_for(WATCHED)) as datapath:
            datapath.install(_watched(1, 1))
            sent, wrong, changes = _under_traffic(datapath, change, packets, swaps)
        raw = {"packets": float(sent), "changes": float(changes)}
        found.append(Result(key, Spread(wrong, wrong, wrong), raw))
    return found


def _watched(slot: int, generation: int) -> Tables:
    first = 1 + generation * WATCHED
    return slot_tables(Size(WATCHED), slot=slot, generation=generation, first_identity=first)


def _flip_next(datapath: Loaded) -> None:
    """As the agent does it: into a slot that neither rules nor did before."""
    word = datapath.kernel.control().word
    slot = next(n for n in SLOTS if n not in (word.active, word.fallback))
    datapath.install(_watched(slot, datapath.generation + 1))


def _rewrite_in_place(datapath: Loaded) -> None:
    """How it must not be done: the live slot emptied and filled again."""
    slot = datapath.kernel.control().word.active
    datapath.generation += 1
    slots.clear(datapath.kernel.map, slot)
    datapath.kernel.fill_slot(_watched(slot, datapath.generation))


def _under_traffic(
    datapath: Loaded, change: Callable[[Loaded], None], packets: int, changes: int
) -> tuple[int, int, int]:
    """Packets sent, packets refused, changes made: at least as many as asked for."""
    datapath.cycle(WATCHED, FIRST_PEER, ports=1)
    before_all, before_wrong = datapath.counted(*Reason), datapath.counted(*DENY_REASONS)
    made = 0
    with _traffic(datapath):
        while made < changes or datapath.counted(*Reason) - before_all < packets:
            change(datapath)
            datapath.drain_events()
            made += 1
    sent = datapath.counted(*Reason) - before_all
    return sent, datapath.counted(*DENY_REASONS) - before_wrong, made


@contextmanager
def _traffic(datapath: Loaded) -> Iterator[None]:
    """New connections of all peers, from the measured CPU; the caller goes on the other one."""
    program, stop = datapath.program("tcm_ingress"), threading.Event()
    packet = tcp_packet(address(FIRST_PEER, 0), 1000, US, PORT, SYN)

    def send() -> None:
        os.sched_setaffinity(0, {MEASURED})
        while not stop.is_set():
            program.test_run(packet, repeat=20_000)

    sender = threading.Thread(target=send)
    pinned = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {BESIDE})
    sender.start()
    try:
        yield
    finally:
        stop.set()
        sender.join()
        os.sched_setaffinity(0, pinned)
