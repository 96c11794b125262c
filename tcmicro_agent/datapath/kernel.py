"""Our maps and programs in the kernel, as one object: read, write, load, attach. It decides nothing."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from threading import Thread
from typing import TypeVar

from tcmicro_agent import abi
from tcmicro_agent.datapath import batches, clock, hooks, libbpf, links, slots
from tcmicro_agent.datapath.held import Held
from tcmicro_agent.datapath.sessions import EXPIRE, Sessions
from tcmicro_agent.errors import KernelError, MapFullError
from tcmicro_agent.interfaces import Framing, Interface, Link
from tcmicro_agent.sessions import Timeouts
from tcmicro_agent.tables import POLICY_MAPS, Tables
from tcmicro_agent.tuning import Tuning

T = TypeVar("T")

BPFFS = Path("/sys/fs/bpf")
PROGRAMS = {
    abi.Direction.INGRESS: "tcm_ingress",
    abi.Direction.EGRESS: "tcm_egress",
}
SUFFIXES = {Framing.ETHERNET: "", Framing.IP: "_l3"}  # of the pair for each kind of interface
ASK = "tcm_ask"  # never pinned, see ask.py
ON_DEMAND = frozenset((*(name + SUFFIXES[Framing.IP] for name in PROGRAMS.values()), ASK))
TRANSITION = "tcm_transition"
EVENTS = "tcm_events"  # the ring, which is mapped
PADDING = bytes(14)  # the Ethernet header a test-run packet must have
STATISTICS = Path("/proc/sys/kernel/bpf_stats_enabled")
COUNTED_AT_ONCE = 512
SPARSE = 4  # of so many counters in a block, one at least is wanted
WORD_BYTES = 8  # of a control word, which the value of tcm_control begins with
NEVER = (1 << 64) - 1  # a control word that cannot be: the transition only samples the clock

# key and value sizes of every map, and whether it is per CPU
LAYOUTS = {
    "tcm_control": (4, abi.CONTROL.size, False),
    "tcm_slots": (4, abi.SLOT.size, False),
    "tcm_settings": (4, abi.SETTINGS.size, False),
    "tcm_hosts4": (abi.HOST4_KEY.size, abi.PEER.size, False),
    "tcm_hosts6": (abi.HOST6_KEY.size, abi.PEER.size, False),
    "tcm_cidrs4": (abi.CIDR4_KEY.size, abi.PEER.size, False),
    "tcm_cidrs6": (abi.CIDR6_KEY.size, abi.PEER.size, False),
    "tcm_rules": (abi.RULE_KEY.size, abi.RULE.size, False),
    "tcm_failsafe": (abi.FAILSAFE_KEY.size, 4, False),
    "tcm_no_failsafe": (4, abi.NO_FAILSAFE.size, False),
    "tcm_trial": (4, abi.TRIAL.size, False),
    "tcm_vlans": (abi.VLAN_KEY.size, 4, False),
    "tcm_half4": (abi.SESSION4_KEY.size, abi.SESSION.size, False),
    "tcm_half6": (abi.SESSION6_KEY.size, abi.SESSION.size, False),
    "tcm_tcp4": (abi.SESSION4_KEY.size, abi.SESSION.size, False),
    "tcm_tcp6": (abi.SESSION6_KEY.size, abi.SESSION.size, False),
    "tcm_other4": (abi.SESSION4_KEY.size, abi.SESSION.size, False),
    "tcm_other6": (abi.SESSION6_KEY.size, abi.SESSION.size, False),
    "tcm_syn_sources": (4, abi.RATE.size, False),
    "tcm_syn_listeners": (4, abi.RATE.size, False),
    "tcm_counters": (4, abi.COUNT.size, True),
    "tcm_rule_hits": (4, abi.COUNT.size, True),
    "tcm_comparisons": (4, abi.COUNT.size, True),
    "tcm_differences": (abi.DIFFERENCE_KEY.size, abi.COUNT.size, False),
    "tcm_budget": (4, abi.BUDGET.size, True),
    "tcm_sums": (abi.SUM_KEY.size, abi.COUNT.size, True),
}
ROOM = {  # what to do when one of these is full
    "tcm_hosts4": "raise policy.hosts in /etc/tcmicro/agent.json and restart the agent",
    "tcm_hosts6": "raise policy.hosts in /etc/tcmicro/agent.json and restart the agent",
    "tcm_rules": "raise policy.rules in /etc/tcmicro/agent.json and restart the agent",
}


def pin_directory(bpffs: Path = BPFFS) -> Path:
    return bpffs / "tcmicro" / str(abi.ABI)


class Kernel:
    """The datapath that is pinned under one directory, loaded there or not yet."""

    def __init__(self, pins: Path | None = None) -> None:
        self.pins = pins or pin_directory()
        self._maps: dict[str, libbpf.Map] = {}
        self._held = Held(self.pins)
        self._object: Path | None = None  # what was loaded, by this process

    # --- loading ---

    @property
    def loaded(self) -> bool:
        return (self.pins / "programs" / TRANSITION).exists()

    def load(self, path: Path, sizes: Mapping[str, int]) -> None:
        """Loads and pins the object; maps of an earlier release are taken over with all they hold.

        `sizes` are entries of maps that are not there yet. Programs for interfaces without Ethernet are loaded with
        the first of these: checking them takes the kernel as long as all the others. Where all of this object is
        there already, nothing is loaded.
        """
        if not _is_bpffs(self.pins.parents[1]):
            raise KernelError(
                f"{self.pins.parents[1]} is not a BPF file system",
                hint="mount -t bpf bpf /sys/fs/bpf",
            )
        self._object = path
        mark = self.pins / "object" / _digest(path)
        if not (mark.exists() and self._is_whole()):
            self._load_all(sizes, mark)
        if not self.hz():
            first = Tuning().settings(clock.find_hz(self._sample), forwarding=0)
            self.set_settings(first)

    def _is_whole(self) -> bool:
        """Whether every pin is there that a load makes."""
        return not (self.lost_maps() or self._lost_programs()) and self._links.exists()

    def lost_maps(self) -> set[str]:
        """Maps without their pin: nobody but the programs that use them has them any more, or who held them open."""
        return {name for name in (*LAYOUTS, EVENTS) if not (self.pins / name).exists()}

    def _lost_programs(self) -> set[str]:
        names = (*PROGRAMS.values(), TRANSITION, EXPIRE)
        return {name for name in names if not self._program_pin(name).exists()}

    def mend(self) -> list[str]:
        """Makes pins anew that somebody removed since this process first looked: of maps with all they hold, of
        programs by loading them once more. Names of what came back."""
        back = self._held.repin((*LAYOUTS, EVENTS))
        for directory in (self.pins / "programs", self._links) if back else ():
            directory.mkdir(exist_ok=True)
        programs = self._lost_programs()
        if programs and self._object and not self.lost_maps():
            self._load({}, programs.__contains__)
            back += sorted(programs)
        return back

    def _load_all(self, sizes: Mapping[str, int], mark: Path) -> None:
        """`mark` names the object, once all of it is there."""
        for directory in (self.pins, self.pins / "programs", self._links, mark.parent):
            directory.mkdir(parents=True, exist_ok=True)

        def unmark() -> None:
            for old in mark.parent.iterdir():
                old.unlink()

        self._load(sizes, lambda n: n not in ON_DEMAND or self._program_pin(n).exists(), unmark)
        with self._program(TRANSITION) as opened:  # only what is the kernel's can have a name here
            libbpf.pin(opened.program.fd, mark)

    def _load(
        self,
        sizes: Mapping[str, int],
        wanted: Callable[[str], bool],
        before_pinning: Callable[[], None] = lambda: None,
    ) -> None:
        assert self._object
        loaded = libbpf.load(self._object, self.pins, dict(sizes), wanted)
        try:
            before_pinning()
            for name, program in loaded.programs.items():
                libbpf.pin(program.fd, self._program_pin(name))
        finally:
            loaded.close()

    def hz(self) -> int:
        """Jiffies per second of this kernel; 0 before the first load."""
        return int(abi.SETTINGS.unpack(self.settings())[0])

    def settings(self) -> bytes:
        """Content of tcm_settings."""
        return self.map("tcm_settings").get(abi.U32.pack(0)) or bytes(abi.SETTINGS.size)

    def set_settings(self, wanted: bytes) -> bool:
        """Writes tcm_settings; False when they were so already."""
        table, zero = self.map("tcm_settings"), abi.U32.pack(0)
        if table.get(zero) == wanted:
            return False
        table.put(zero, wanted)
        return True

    def _sample(self) -> tuple[int, int]:
        self.transition(NEVER, NEVER)
        control = self.control()
        return control.jiffies, control.boot_ms

    # --- attaching ---

    def links(self) -> tuple[Link, ...]:
        """What could be attached to: every link of this network namespace."""
        return links.read()

    def hook(self, kind: str, interface: Interface) -> hooks.Hook:
        return hooks.choose(kind, self._links, interface)

    def attach(self, kind: str, interface: Interface) -> None:
        """Attaches or swaps both programs; the directions are independent, each in one step."""
        hook, names = self.hook(kind, interface), _programs(interface.framing)
        missing = {name for name in names.values() if not self._program_pin(name).exists()}
        if missing and self._object and not self.lost_maps():
            self._load({}, missing.__contains__)
        for direction, name in names.items():
            with self._program(name) as opened:
                hook.attach(interface, direction, opened.program)

    def attached(self, kind: str, interface: Interface) -> dict[abi.Direction, bool]:
        """Per direction, whether our present program sits on the interface."""
        hook = self.hook(kind, interface)
        found = {}
        for direction, name in _programs(interface.framing).items():
            if not self._program_pin(name).exists():
                found[direction] = False
                continue
            with self._program(name) as opened:
                found[direction] = hook.attached(interface, direction) == opened.program.id
        return found

    def detach(self, interface: Interface) -> None:
        for hook in self._hooks():
            hooks.remove(hook, interface.index)

    def hooked(self) -> list[tuple[hooks.Hook, int]]:
        """Every place where something of ours hangs: the hook and the interface's index, which may be gone."""
        return [(hook, index) for hook in self._hooks() for index in sorted(hook.present())]

    def _hooks(self) -> tuple[hooks.Hook, ...]:
        return hooks.Tcx(self._links), hooks.Clsact()

    @property
    def _links(self) -> Path:
        return self.pins / "links"

    def vlans(self) -> set[tuple[int, int]]:
        """(parent, VLAN id) of the frames that pass their parent unjudged."""
        return {(index, vlan) for index, vlan in map(abi.VLAN_KEY.unpack, self.map("tcm_vlans"))}

    def set_vlans(self, wanted: set[tuple[int, int]]) -> bool:
        """Makes those the only ones; False when they were already."""
        table, actual = self.map("tcm_vlans"), self.vlans()
        for key in wanted - actual:
            table.put(abi.VLAN_KEY.pack(*key), abi.U32.pack(1))
        for key in actual - wanted:
            table.delete(abi.VLAN_KEY.pack(*key))
        return wanted != actual

    def unpin(self) -> None:
        """Takes every pin of this layout away; the kernel frees what nobody uses any more."""
        for path in sorted(self.pins.rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
        for directory in (self.pins, self.pins.parent):
            if directory.exists() and not any(directory.iterdir()):
                directory.rmdir()
        self._maps.clear()
        self._held.close()

    # --- policy ---

    def control(self) -> abi.Control:
        return abi.Control.decode(self.map("tcm_control").get(abi.U32.pack(0)) or b"")

    def transition(self, expected: int, desired: int) -> abi.TransitionResult:
        """Compare and swap of the control word, in the kernel."""
        request = abi.TRANSITION_REQUEST.pack(expected, desired)
        return abi.TransitionResult(self._run(TRANSITION, request))

    def headers(self) -> list[abi.SlotHeader]:
        table = self.map("tcm_slots")
        return [
            abi.SlotHeader.decode(table.get(abi.U32.pack(n)) or bytes(abi.SLOT.size))
            for n in range(abi.SLOTS)
        ]

    def policy_state(self) -> tuple[bytes, ...]:
        """Settings, failsafe, and what rules, is armed and staged: as bytes, to see whether anything has changed."""
        places = [(name, 0) for name in ("tcm_settings", "tcm_no_failsafe", "tcm_trial")]
        places += [("tcm_slots", n) for n in range(abi.SLOTS)]
        held = (self.map(name).get(abi.U32.pack(n)) or b"" for name, n in places)
        word = (self.map("tcm_control").get(abi.U32.pack(0)) or b"")[:WORD_BYTES]
        return (word, *held, *self.map("tcm_failsafe"))

    def clear_slot(self, slot: int) -> None:
        self.map("tcm_slots").put(abi.U32.pack(slot), bytes(abi.SLOT.size))
        self._on_maps(POLICY_MAPS, lambda name, table: slots.clear(name, table, slot))

    def fill_slot(self, tables: Tables) -> None:
        """Raises MapFullError when the policy does not fit; the slot is of no use then, and nobody uses it."""

        def fill(name: str, table: libbpf.Map) -> None:
            entries = tables.entries[name]
            try:
                batches.put(table, entries.key_bytes, entries.value_bytes)
            except MapFullError as exc:
                raise _too_big(name, len(entries), table.capacity()) from exc

        self._on_maps(tuple(tables.entries), fill)
        self.map("tcm_slots").put(abi.U32.pack(tables.slot), tables.header.encode())

    def put_header(self, slot: int, header: abi.SlotHeader) -> None:
        self.map("tcm_slots").put(abi.U32.pack(slot), header.encode())

    def slot_checksums(self, slot: int) -> dict[str, int]:
        """Of what each policy map holds for a slot."""
        return self._on_maps(POLICY_MAPS, lambda name, table: slots.checksum_of(name, table, slot))

    def _on_maps(self, names: Sequence[str], act: Callable[[str, libbpf.Map], T]) -> dict[str, T]:
        """Does one thing to several maps at once: ctypes holds no lock of Python's while the kernel works. Raises what
        any of them raised, once all have ended."""
        tables = {name: self.map(name) for name in names}
        found: dict[str, T] = {}
        faults: list[Exception] = []

        def attempt(name: str) -> None:
            try:
                found[name] = act(name, tables[name])
            except Exception as exc:
                faults.append(exc)

        # plain threads: importing a pool of them takes longer than all they do for a usual policy
        threads = [Thread(target=attempt, args=(name,)) for name in names]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if faults:
            raise faults[0]
        return found

    def failsafe(self) -> frozenset[bytes]:
        return frozenset(self.map("tcm_failsafe"))

    def set_failsafe(self, wanted: frozenset[bytes]) -> tuple[int, int]:
        """Makes the failsafe what is wanted; how many keys came and went. What stays is not touched."""
        table, actual = self.map("tcm_failsafe"), self.failsafe()
        self._search_failsafe_for(wanted | actual)
        for key in sorted(wanted - actual):
            table.put(key, abi.U32.pack(1))
        for key in sorted(actual - wanted):
            table.delete(key)
        self._narrow_failsafe()
        return len(wanted - actual), len(actual - wanted)

    def _narrow_failsafe(self) -> None:
        """Searched for what it holds. Others may write meanwhile: what is told last includes what they added."""
        told = None
        while (present := self.failsafe()) != told:
            self._search_failsafe_for(present)
            told = present

    def _search_failsafe_for(self, keys: frozenset[bytes]) -> None:
        table, content = self.map("tcm_no_failsafe"), abi.no_failsafe(keys)
        if table.get(abi.U32.pack(0)) != content:
            table.put(abi.U32.pack(0), content)

    # --- observation ---

    def jiffies(self) -> int:
        return self._sample()[0]

    def counters(self) -> Mapping[int, tuple[int, int]]:
        return self._counts("tcm_counters", range(abi.COUNTERS))

    def rule_hits(self, numbers: list[int]) -> dict[int, tuple[int, int]]:
        return self._counts("tcm_rule_hits", numbers)

    def _counts(self, name: str, numbers: Sequence[int]) -> dict[int, tuple[int, int]]:
        """Many counters of a per-CPU map; where they stand close together, in one call for all of a block."""
        found: dict[int, tuple[int, int]] = {}
        wanted = sorted(set(numbers))
        for some in (
            wanted[at : at + COUNTED_AT_ONCE] for at in range(0, len(wanted), COUNTED_AT_ONCE)
        ):
            span = some[-1] - some[0] + 1
            block = self.map(name).block(some[0], span) if span <= SPARSE * len(some) else None
            if block is None:
                found.update((n, self.count(name, n)) for n in some)
            else:
                found.update(
                    zip(some, abi.sums_of_counts(block, span, [n - some[0] for n in some]))
                )
        return found

    def count(self, name: str, index: int) -> tuple[int, int]:
        """One counter of a per-CPU map, over all CPUs: packets and bytes."""
        packets = total = 0
        for raw in self.map(name).get_each_cpu(abi.U32.pack(index)):
            one, size = abi.COUNT.unpack(raw)
            packets, total = packets + one, total + size
        return packets, total

    @property
    def sessions(self) -> Sessions:
        return Sessions(self.map, self._run)

    def timeouts(self) -> Timeouts:
        """When sessions expire, as the programs have it now."""
        return Timeouts.decode(self.settings())

    def runs(self) -> dict[str, tuple[int, int]]:
        """Runs and ns of the programs that judge packets; empty unless the kernel measures them."""
        if STATISTICS.read_text().strip() != "1":
            return {}
        names = (name + suffix for name in PROGRAMS.values() for suffix in SUFFIXES.values())
        found = {}
        for name in names:
            if self._program_pin(name).exists():
                with self._program(name) as opened:
                    found[name] = opened.program.runs()
        return found

    # --- handles ---

    def map(self, name: str) -> libbpf.Map:
        if name not in self._maps:
            pin = self.pins / name
            if not pin.exists():
                raise KernelError(
                    f"{pin} is not there: the datapath is not loaded",
                    hint="systemctl start tcmicro-agent",
                )
            key, value, per_cpu = LAYOUTS[name]
            cpus = libbpf.possible_cpus() if per_cpu else 0
            self._maps[name] = libbpf.Map(libbpf.get(pin), key, value, cpus=cpus)
        return self._maps[name]

    def _program(self, name: str) -> _Opened:
        return _Opened(self._program_pin(name))

    def _program_pin(self, name: str) -> Path:
        return self.pins / "programs" / name

    def _run(self, name: str, request: bytes) -> int:
        """What a program of ours returns for a request."""
        with self._program(name) as opened:
            return opened.program.test_run(PADDING + request)[0]

    def run_on(self, name: str, packet: bytes) -> int:
        """What a pinned program returns for a packet, a whole frame that reaches nobody."""
        with self._program(name) as opened:
            return opened.program.test_run(packet)[0]

    def close(self) -> None:
        for opened in self._maps.values():
            os.close(opened.fd)
        self._maps.clear()
        self._held.close()


class _Opened:
    """A pinned program, open for the length of a `with`."""

    def __init__(self, pin: Path) -> None:
        if not pin.exists():
            raise KernelError(
                f"{pin} is not there: the datapath is not loaded",
                hint="systemctl start tcmicro-agent",
            )
        self.program = libbpf.Program(libbpf.get(pin))

    def __enter__(self) -> _Opened:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self.program.fd)


def _programs(framing: Framing) -> dict[abi.Direction, str]:
    """The pair for that kind of interface."""
    return {direction: name + SUFFIXES[framing] for direction, name in PROGRAMS.items()}


def _digest(path: Path) -> str:
    """Of an object; of one that cannot be read, the kernel's library says why."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return "unreadable"


def _too_big(name: str, entries: int, capacity: int) -> MapFullError:
    return MapFullError(
        f"{name}: this policy has {entries} entries, and not all fit beside those of the other slots: "
        f"it holds {capacity}",
        hint=f"{ROOM.get(name, 'name fewer networks')}; nothing was changed",
    )


def _is_bpffs(path: Path) -> bool:
    mounts = Path("/proc/self/mounts").read_text().splitlines()
    return any(line.split()[1:3] == [str(path), "bpf"] for line in mounts)
