"""First measurements of the datapath: ns per packet by BPF_PROG_TEST_RUN, as ratios to a program that returns OK.

Variants take turns inside every round, so that drift of the machine hits all of them; medians of per-round ratios
with their interquartile range. Wall clock around the system call: the kernel's own figure is whole nanoseconds.
"""

from __future__ import annotations

import ctypes
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "datapath"))

from builders import bundle, rule  # noqa: E402
from harness import Datapath  # noqa: E402
from packets import ACK, SYN, tcp_packet  # noqa: E402

from tcmicro_agent.datapath import libbpf  # noqa: E402
from tcmicro_agent.datapath.kernel import Kernel  # noqa: E402
from tcmicro_agent.tuning import Tuning  # noqa: E402
from tools.compile_bpf import OBJECT, compile_object  # noqa: E402

ROOT = Path(__file__).parents[2]
BUILD = ROOT / "build"
QUICK = bool(os.environ.get("QUICK"))
ROUNDS, REPEAT = (5, 50_000) if QUICK else (15, 300_000)
PAIRS = {"v4": ("10.0.0.1", "10.0.0.2", "10.9.9.9"), "v6": ("fd00::1", "fd00::2", "fd99::9")}
CLONE_NEWNET = 0x40000000

Variant = Callable[[], float]


def main() -> None:
    ctypes.CDLL(None).unshare(CLONE_NEWNET)
    os.sched_setaffinity(0, {0})
    with loaded() as (kernel, floor):
        variants = build_variants(Datapath(kernel), floor)
        rounds = [{name: run() for name, run in variants.items()} for _ in range(ROUNDS)]
    result = summarise(rounds)
    path = BUILD / "bench.json"
    path.write_text(json.dumps(result, indent=2) + "\n")
    show(result)
    print(f"written to {path.relative_to(ROOT)}")


@contextmanager
def loaded() -> Iterator[tuple[Kernel, libbpf.Program]]:
    """The real programs and the floor, loaded below a bpf file system of their own."""
    compile_object(ROOT, BUILD / "floor.bpf.o", "tests/bench/floor.bpf.c")
    with tempfile.TemporaryDirectory() as bpffs:
        subprocess.run(["mount", "-t", "bpf", "bpf", bpffs], check=True)
        try:
            floor = libbpf.load(BUILD / "floor.bpf.o", Path(bpffs), {})
            kernel = Kernel(Path(bpffs) / "tcmicro" / "1")
            kernel.load(OBJECT, Tuning(capacity=131072).map_sizes(0))
            yield kernel, floor.programs["floor_ok"]
            kernel.close()
        finally:
            subprocess.run(["umount", bpffs], check=True)


def build_variants(datapath: Datapath, floor: libbpf.Program) -> dict[str, Variant]:
    """A host with ten rules and both families; one established flow each, and a stranger who is refused."""
    rules = [rule(f"p/{n}", f"tcp/{8000 + n}", (1,)) for n in range(10)]
    endpoints = {peer: 1 for _, peer, _ in PAIRS.values()}
    datapath.enforce(bundle(*rules, endpoints=endpoints))
    ingress = libbpf.Program(libbpf.get(datapath.kernel.pins / "programs/tcm_ingress"))
    variants = {"floor": timed(floor, tcp_packet(*_flow("v4"), SYN))}
    for family in PAIRS:
        us, peer, stranger = PAIRS[family]
        datapath.ingress(tcp_packet(peer, 1000, us, 8000, SYN))
        datapath.egress(tcp_packet(us, 8000, peer, 1000, SYN | ACK))
        datapath.ingress(tcp_packet(peer, 1000, us, 8000, ACK))
        variants[f"hit_{family}"] = timed(ingress, tcp_packet(peer, 1000, us, 8000, ACK))
        variants[f"deny_{family}"] = timed(ingress, tcp_packet(stranger, 1000, us, 8000, SYN))
        variants[f"deny_known_{family}"] = timed(ingress, tcp_packet(peer, 1000, us, 9000, SYN))
    return variants


def _flow(family: str) -> tuple[str, int, str, int]:
    us, peer, _ = PAIRS[family]
    return peer, 1000, us, 8000


def timed(program: libbpf.Program, packet: bytes) -> Variant:
    """Nanoseconds per run, by the wall."""

    def run() -> float:
        start = time.perf_counter_ns()
        program.test_run(packet, repeat=REPEAT)
        return (time.perf_counter_ns() - start) / REPEAT

    return run


def summarise(rounds: list[dict[str, float]]) -> dict[str, dict[str, float]]:
    """Per variant: median ns, and the ratio to the floor of the same round with its quartiles."""
    result = {}
    for name in rounds[0]:
        ratios = [round_[name] / round_["floor"] for round_ in rounds]
        low, middle, high = statistics.quantiles(ratios, n=4)
        result[f"{name}_over_floor"] = {
            "ratio": round(middle, 3),
            "iqr_low": round(low, 3),
            "iqr_high": round(high, 3),
            "ns": round(statistics.median(round_[name] for round_ in rounds), 1),
        }
    return result


def show(result: dict[str, dict[str, float]]) -> None:
    print(f"{'ns per packet, BPF_PROG_TEST_RUN':34}{'ns':>8}{'x floor':>10}   interquartile range")
    for name, row in result.items():
        print(
            f"{name:34}{row['ns']:8.1f}{row['ratio']:10.2f}   {row['iqr_low']:.2f} - {row['iqr_high']:.2f}"
        )


if __name__ == "__main__":
    main()
