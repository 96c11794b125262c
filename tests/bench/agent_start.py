"""What a fresh agent process does before its first packet: `python -m tests.bench.agent_start PINS INTERFACE`.

Prints seconds from load to both hooks attached, and its resident memory in kB then.
"""

from __future__ import annotations

import socket
import sys
import time
from pathlib import Path

import pyroute2  # noqa: F401 the agent needs it where there is no tcx

from tcmicro_agent.datapath.hooks import Interface
from tcmicro_agent.datapath.kernel import Kernel
from tcmicro_agent.tuning import Tuning

OBJECT = Path(__file__).parents[2] / "build/tcmicro.bpf.o"


def main(pins: str, name: str) -> None:
    interface = Interface(name, socket.if_nametoindex(name))
    start = time.perf_counter()
    kernel = Kernel(Path(pins))
    kernel.load(OBJECT, Tuning().map_sizes(0))
    kernel.attach("auto", interface)
    print(time.perf_counter() - start, _resident_kb())


def _resident_kb() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))


if __name__ == "__main__":
    main(*sys.argv[1:])
