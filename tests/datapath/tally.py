"""Independent counters on both sides of our programs: what came to them, and what they let pass."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from built import built
from world import World

from tcmicro_agent import abi
from tcmicro_agent.datapath import hooks, libbpf
from tcmicro_agent.datapath.kernel import Kernel

Count = tuple[int, int]  # packets, bytes


@dataclass(frozen=True)
class Sides:
    """What came to our programs, and what they let pass."""

    front: dict[abi.Direction, Tally]
    behind: dict[abi.Direction, Tally]


class Tally:
    """One counting program on one hook of an interface."""

    def __init__(self, pins: Path) -> None:
        pins.mkdir(parents=True)
        loaded = libbpf.load(built("tally.bpf.c"), pins, {})
        self._stack = ExitStack()
        self._stack.callback(loaded.close)
        self._pin = pins / "program"
        self._program = loaded.programs["tally"]
        libbpf.pin(self._program.fd, self._pin)
        self._total = libbpf.Map(loaded.maps["tally_total"], 4, 16)
        self._udp = libbpf.Map(loaded.maps["tally_udp"], 4, 8)

    def attach(self, kind: str, world: World, way: abi.Direction, *, front: bool) -> None:
        """To eth0 of `us`, before or behind everything that is there; on clsact before or behind our place."""
        space, interface = world.us, world.interface
        if kind == "tcx":
            create = partial(libbpf.link_create, first=front)
            place = hooks.TCX_ATTACH_TYPES[way]
            link = space.inside(create, self._program, interface.index, place)
            self._stack.callback(os.close, link)
            return
        where = ["dev", interface.name, way.name.lower()]
        order = ["prio", str(hooks.PRIORITY + (-1 if front else 1))]
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


@contextmanager
def guarded(kernel: Kernel, world: World, kind: str, bpffs: Path) -> Iterator[Sides]:
    """Our programs on eth0 of `us` by that kind of hook, and a tally on both sides of them."""
    with ExitStack() as stack:
        if kind == "clsact":
            world.us.run("tc", "qdisc", "add", "dev", "eth0", "clsact")
            stack.callback(world.us.run, "tc", "qdisc", "del", "dev", "eth0", "clsact")
        stack.callback(world.us.inside, kernel.detach, world.interface)
        world.us.inside(kernel.attach, kind, world.interface)
        front, behind = tallies(bpffs, "front", stack), tallies(bpffs, "behind", stack)
        for way in abi.Direction:
            front[way].attach(kind, world, way, front=True)
            behind[way].attach(kind, world, way, front=False)
        yield Sides(front, behind)


def tallies(bpffs: Path, name: str, stack: ExitStack) -> dict[abi.Direction, Tally]:
    """One for each direction, attached to nothing yet, until the stack is closed."""
    made = {}
    for way in abi.Direction:
        made[way] = Tally(bpffs / f"{name}-{way.name.lower()}")
        stack.callback(made[way].close)
    return made
