"""How long our programs run, while packets pass: each run by programs around them, or their mean by the kernel."""

from __future__ import annotations

import os
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from tcmicro_agent.datapath import inspection, libbpf
from tcmicro_agent.datapath.kernel import Kernel
from tcmicro_agent.datapath.programs import PROGRAMS, SUFFIXES
from tcmicro_agent.errors import KernelError, RefusedError
from tcmicro_agent.histogram import LATENCY, Histogram

ZERO = bytes(4)


class Latency:
    """Measures for the length of a `with`. `refused` says why only means are known, "" where each run is."""

    def __init__(self, kernel: Kernel, path: Path) -> None:
        names = [name + suffix for suffix in SUFFIXES.values() for name in PROGRAMS.values()]
        self._pins = kernel.pins
        self._names = [name for name in names if (kernel.pins / "programs" / name).exists()]
        self._path = path
        self._stack = ExitStack()
        self._maps: dict[str, libbpf.Map] = {}
        self._before: dict[str, tuple[int, int]] = {}
        self.refused = ""

    def __enter__(self) -> Latency:
        try:
            for name in self._names:
                self._surround(name)
        except KernelError as exc:
            self._stack.close()
            self._maps.clear()
            self.refused = exc.message
            self._have_counted()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _surround(self, name: str) -> None:
        fd = libbpf.get(self._pins / "programs" / name)
        self._stack.callback(os.close, fd)
        loaded = libbpf.load_around(self._path, libbpf.Program(fd), name)
        self._stack.callback(loaded.close)
        self._maps[name] = libbpf.Map(
            loaded.maps["tcm_latency"], 4, LATENCY.size, cpus=libbpf.possible_cpus()
        )
        for program in loaded.programs.values():
            self._stack.callback(os.close, libbpf.attach_around(program))

    def _have_counted(self) -> None:
        """The kernel itself, for as long as somebody wants it to."""
        try:
            self._stack.callback(os.close, libbpf.enable_stats())
        except KernelError as exc:
            hint = "each run needs BTF, a JIT and (arm64) Linux 6.0; means need BPF_ENABLE_STATS, Linux 5.8"
            raise RefusedError(f"{self.refused}; {exc.message}", hint=hint) from exc
        self._before = self._counted()

    def _counted(self) -> dict[str, tuple[int, int]]:
        """Runs and their nanoseconds by program."""
        rows = inspection.programs(self._pins)
        return {r["name"]: (r["runs"], r["run_time_ns"]) for r in rows if r["name"] in self._names}

    def read(self) -> dict[str, dict[str, Any]]:
        """By program, since the `with` began; without a histogram where it was refused."""
        if self._maps:
            each = {n: table.get_each_cpu(ZERO) for n, table in self._maps.items()}
            return {name: Histogram.decode(values).document() for name, values in each.items()}
        found: dict[str, dict[str, Any]] = {}
        for name, (runs, total) in self._counted().items():
            before = self._before.get(name, (0, 0))
            count, spent = max(runs - before[0], 0), max(total - before[1], 0)
            mean = round(spent / count) if count else None
            found[name] = {
                "runs": count,
                "mean_ns": mean,
                "p50_ns": None,
                "p99_ns": None,
                "histogram": [],
            }
        return found
