"""Independent counters on both sides of our programs: what came to them, and what they let pass."""

from __future__ import annotations

import os
from contextlib import ExitStack
from pathlib import Path

from world import Namespace

from tcmicro_agent import abi
from tcmicro_agent.datapath import hooks, libbpf
from tools.compile_bpf import compile_object

ROOT = Path(__file__).resolve().parents[2]
OBJECT = ROOT / "build/tally.bpf.o"
Count = tuple[int, int]  # packets, bytes


class Tally:
    """One counting program on one hook of an interface."""

    def __init__(self, pins: Path) -> None:
        pins.mkdir(parents=True)
        loaded = libbpf.load(compile_object(ROOT, OBJECT, "tests/datapath/tally.bpf.c"), pins, {})
        self._stack = ExitStack()
        self._stack.callback(loaded.close)
        self._pin = pins / "program"
        self._program = loaded.programs["tally"]
        libbpf.pin(self._program.fd, self._pin)
        self._total = libbpf.Map(loaded.maps["tally_total"], 4, 16)
        self._udp = libbpf.Map(loaded.maps["tally_udp"], 4, 8)

    def attach(
        self, kind: str, space: Namespace, interface: hooks.Interface, way: abi.Direction
    ) -> None:
        """On tcx behind what is there by now; on clsact before ours as long as nothing of ours is there."""
        if kind == "tcx":
            place = hooks.TCX_ATTACH_TYPES[way]
            link = space.inside(libbpf.link_create, self._program, interface.index, place)
            self._stack.callback(os.close, link)
            return
        ours = space.inside(hooks.Clsact().attached, interface, way) is not None
        where = ["dev", interface.name, way.name.lower()]
        order = ["prio", str(hooks.PRIORITY + 1 if ours else hooks.PRIORITY - 1)]
        bpf = ["bpf", "direct-action", "object-pinned", str(self._pin)]
        space.run("tc", "filter", "add", *where, *order, *bpf)
        self._stack.callback(space.run, "tc", "filter", "del", *where, *order)

    def total(self) -> Count:
        words = memoryview(self._total.get(abi.U32.pack(0)) or b"").cast("Q")
        return words[0], words[1]

    def udp(self, port: int) -> int:
        """IPv4 UDP packets to a port."""
        return int.from_bytes(self._udp.get(abi.U32.pack(port)) or b"", "little")

    def close(self) -> None:
        self._stack.close()
        for path in sorted(self._pin.parent.iterdir()):
            path.unlink()
        self._pin.parent.rmdir()
