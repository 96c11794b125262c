"""The programs of one datapath: loaded from an object, pinned beside its maps, opened for as long as they are asked."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

from tcmicro_agent import abi
from tcmicro_agent.datapath import layouts, libbpf
from tcmicro_agent.datapath.sessions import EXPIRE
from tcmicro_agent.errors import KernelError
from tcmicro_agent.interfaces import Framing

PROGRAMS = {
    abi.Direction.INGRESS: "tcm_ingress",
    abi.Direction.EGRESS: "tcm_egress",
}
SUFFIXES = {Framing.ETHERNET: "", Framing.IP: "_l3"}  # of the pair for each kind of interface
ASK = "tcm_ask"  # never pinned, see ask.py
TRANSITION = "tcm_transition"
ALWAYS = frozenset((*PROGRAMS.values(), TRANSITION, EXPIRE))
ON_DEMAND = frozenset((*(name + SUFFIXES[Framing.IP] for name in PROGRAMS.values()), ASK))
PADDING = bytes(14)  # the Ethernet header a test-run packet must have
STATISTICS = Path("/proc/sys/kernel/bpf_stats_enabled")


def pair(framing: Framing) -> dict[abi.Direction, str]:
    """The programs for that kind of interface."""
    return {direction: name + SUFFIXES[framing] for direction, name in PROGRAMS.items()}


class Programs:
    """`pins`: the directory of the datapath, where maps are pinned too."""

    def __init__(self, pins: Path) -> None:
        self._pins = pins
        self._object: Path | None = None  # what was loaded, by this process

    def load(self, path: Path, sizes: Mapping[str, int]) -> None:
        """Loads and pins those of an object that are always there, and those on demand that were; `sizes` are entries
        of maps that are not there yet. Where all of this object is there already, nothing is loaded."""
        self._object = path
        mark = self._pins / "object" / _digest(path)
        if mark.exists() and not layouts.lost(self._pins) and not self.missing(ALWAYS):
            return
        self._make_room()
        mark.parent.mkdir(exist_ok=True)

        def unmark() -> None:
            for old in mark.parent.iterdir():
                old.unlink()

        self._load(sizes, lambda n: n not in ON_DEMAND or self.pin(n).exists(), unmark)
        with self.open(TRANSITION) as opened:  # only what is the kernel's can have a name here
            libbpf.pin(opened.program.fd, mark)

    def load_missing(self, names: Collection[str]) -> list[str]:
        """Loads those that have no pin; which. None while no object is known, or a map is lost, which the kernel
        would then make anew and empty."""
        missing = self.missing(names)
        if not missing or not self._object or layouts.lost(self._pins):
            return []
        self._make_room()
        self._load({}, missing.__contains__)
        return sorted(missing)

    def missing(self, names: Collection[str]) -> set[str]:
        return {name for name in names if not self.pin(name).exists()}

    def _make_room(self) -> None:
        self.pin("").mkdir(parents=True, exist_ok=True)

    def _load(
        self,
        sizes: Mapping[str, int],
        wanted: Callable[[str], bool],
        before_pinning: Callable[[], None] = lambda: None,
    ) -> None:
        assert self._object
        loaded = libbpf.load(self._object, self._pins, dict(sizes), wanted)
        try:
            before_pinning()
            for name, program in loaded.programs.items():
                libbpf.pin(program.fd, self.pin(name))
        finally:
            loaded.close()

    def pin(self, name: str) -> Path:
        return self._pins / "programs" / name

    def open(self, name: str) -> Opened:
        """For a `with`; raises KernelError where it is not loaded."""
        return Opened(self.pin(name))

    def run(self, name: str, request: bytes) -> int:
        """What a program of ours returns for a request."""
        return self.run_on(name, PADDING + request)

    def run_on(self, name: str, packet: bytes) -> int:
        """What a program returns for a packet, a whole frame that reaches nobody."""
        with self.open(name) as opened:
            return opened.program.test_run(packet)[0]

    def runs(self) -> dict[str, tuple[int, int]]:
        """Runs and ns of those that judge packets; empty unless the kernel measures them."""
        if STATISTICS.read_text().strip() != "1":
            return {}
        found = {}
        for name in (name for framing in Framing for name in pair(framing).values()):
            if self.pin(name).exists():
                with self.open(name) as opened:
                    found[name] = opened.program.runs()
        return found


class Opened:
    """A pinned program, open for the length of a `with`."""

    def __init__(self, pin: Path) -> None:
        if not pin.exists():
            raise KernelError(
                f"{pin} is not there: the datapath is not loaded",
                hint="systemctl start tcmicro-agent",
            )
        self.program = libbpf.Program(libbpf.get(pin))

    def __enter__(self) -> Opened:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self.program.fd)


def _digest(path: Path) -> str:
    """Of an object; of one that cannot be read, the kernel's library says why."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return "unreadable"
