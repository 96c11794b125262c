"""What the datapath takes: kernel memory per session, time and memory of loading it, time to read its sessions."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from tcmicro_agent import abi
from tcmicro_agent.datapath.kernel import Kernel
from tcmicro_agent.tuning import Tuning
from tests.bench.goals import Result
from tests.bench.loaded import OBJECT, ROOT, loaded
from tests.bench.measure import Spread, spread
from tests.bench.policies import open_to_world
from tests.bench.testrun import fill_sessions
from tests.bench.world import Pair, pair
from tools.process import run as run_program

CAPACITIES = {"150k": 150_000, "1m": 1_000_000}
DUMPED = 150_000


def run(bpffs: Path, *, quick: bool) -> list[Result]:
    rounds = 3 if quick else 11
    return [*_memory(bpffs), *_loading(bpffs, rounds), _dump(bpffs, rounds)]


def _memory(bpffs: Path) -> list[Result]:
    found = []
    for label, capacity in CAPACITIES.items():
        kernel = Kernel(bpffs / f"memory_{label}" / str(abi.ABI))
        kernel.load(OBJECT, {"tcm_tcp4": capacity, "tcm_tcp6": capacity})
        for family in ("v4", "v6"):
            taken = _memlock(kernel.map(f"tcm_tcp{family[1]}").fd)
            each = taken / capacity
            raw = {"map_bytes": float(taken)}
            found.append(
                Result(f"bytes_per_session_{family}_{label}", Spread(each, each, each), raw)
            )
        kernel.close()
        kernel.unpin()
    return found


def _memlock(fd: int) -> int:
    """Bytes of kernel memory that a map holds."""
    lines = Path(f"/proc/self/fdinfo/{fd}").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("memlock:"))


def _loading(bpffs: Path, rounds: int) -> list[Result]:
    """A process of its own each time, from nothing loaded to both hooks of an interface."""
    with pair("start", 10) as host:
        taken = [_start(host, bpffs / f"start_{n}" / str(abi.ABI)) for n in range(rounds)]
    seconds, resident, whole = (list(column) for column in zip(*taken, strict=True))
    raw = {"with_python_and_imports_s": spread(whole).middle}
    return [
        Result("load_to_attached_s", spread(seconds), raw),
        Result("loader_rss_mb", spread(resident)),
    ]


def _start(host: Pair, pins: Path) -> tuple[float, float, float]:
    """Seconds from load to attached, resident MB, seconds of the whole process."""
    argv = [sys.executable, "-m", "tests.bench.agent_start", str(pins), "eth0"]
    enter = ["nsenter", f"--net=/run/netns/{host.server.name}"]
    start = time.perf_counter()
    seconds, resident_kb = run_program([*enter, *argv], cwd=ROOT).split()
    whole = time.perf_counter() - start
    Kernel(pins).unpin()
    return float(seconds), int(resident_kb) / 1024, whole


def _dump(bpffs: Path, rounds: int) -> Result:
    """Keys and values of every session, as the agent reads them to sweep and to list; undecoded, then decoded."""
    with loaded(bpffs, "dump", tuning=Tuning(capacity=DUMPED * 5 // 4)) as datapath:
        datapath.enforce(open_to_world())
        fill_sessions(datapath, DUMPED)
        taken = [_timed_ms(lambda: datapath.kernel.sessions.counts()) for _ in range(rounds)]
        decoded = _timed_ms(datapath.sessions)
    return Result("dump_150k_sessions_ms", spread(taken), {"decoded_ms": decoded})


def _timed_ms(act) -> float:
    start = time.perf_counter()
    act()
    return (time.perf_counter() - start) * 1000
