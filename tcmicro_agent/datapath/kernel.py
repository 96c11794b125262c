"""Our maps and programs in the kernel, as one object: read, write, load, attach. It decides nothing."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from tcmicro_agent import abi
from tcmicro_agent.datapath import (
    clock,
    counting,
    failsafe,
    hooks,
    layouts,
    libbpf,
    links,
    slots,
)
from tcmicro_agent.datapath.held import Held
from tcmicro_agent.datapath.layouts import EVENTS, LAYOUTS
from tcmicro_agent.datapath.programs import ALWAYS, TRANSITION, Programs, pair
from tcmicro_agent.datapath.sessions import Sessions
from tcmicro_agent.errors import KernelError
from tcmicro_agent.interfaces import Interface, Link
from tcmicro_agent.sessions import Timeouts
from tcmicro_agent.tables import Tables
from tcmicro_agent.tuning import Tuning

BPFFS = Path("/sys/fs/bpf")
WORD_BYTES = 8  # of a control word, which the value of tcm_control begins with
NEVER = (1 << 64) - 1  # a control word that cannot be: the transition only samples the clock


def pin_directory(bpffs: Path = BPFFS) -> Path:
    return bpffs / "tcmicro" / str(abi.ABI)


class Kernel:
    """The datapath that is pinned under one directory, loaded there or not yet."""

    def __init__(self, pins: Path | None = None) -> None:
        self.pins = pins or pin_directory()
        self._maps: dict[str, libbpf.Map] = {}
        self.programs = Programs(self.pins)
        self._held = Held(self.pins)

    # --- loading ---

    @property
    def loaded(self) -> bool:
        return self.programs.pin(TRANSITION).exists()

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
        self._links.mkdir(parents=True, exist_ok=True)
        self.programs.load(path, sizes)
        if not self.hz():
            first = Tuning().settings(clock.find_hz(self._sample), forwarding=0)
            self.set_settings(first)

    def lost_maps(self) -> set[str]:
        return layouts.lost(self.pins)

    def mend(self) -> list[str]:
        """Makes pins anew that somebody removed since this process first looked: of maps with all they hold, of
        programs by loading them once more. Names of what came back."""
        back = self._held.repin((*LAYOUTS, EVENTS))
        if back:
            self._links.mkdir(exist_ok=True)
        return back + self.programs.load_missing(ALWAYS)

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
        hook, names = self.hook(kind, interface), pair(interface.framing)
        self.programs.load_missing(names.values())
        for direction, name in names.items():
            with self.programs.open(name) as opened:
                hook.attach(interface, direction, opened.program)

    def attached(self, kind: str, interface: Interface) -> dict[abi.Direction, bool]:
        """Per direction, whether our present program sits on the interface."""
        hook = self.hook(kind, interface)
        found = {}
        for direction, name in pair(interface.framing).items():
            if not self.programs.pin(name).exists():
                found[direction] = False
                continue
            with self.programs.open(name) as opened:
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
        return abi.TransitionResult(self.programs.run(TRANSITION, request))

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
        slots.clear(self.map, slot)

    def fill_slot(self, tables: Tables) -> None:
        """Raises MapFullError when the policy does not fit; the slot is of no use then, and nobody uses it."""
        slots.fill(self.map, tables)
        self.put_header(tables.slot, tables.header)

    def put_header(self, slot: int, header: abi.SlotHeader) -> None:
        self.map("tcm_slots").put(abi.U32.pack(slot), header.encode())

    def slot_checksums(self, slot: int) -> dict[str, int]:
        """Of what each policy map holds for a slot."""
        return slots.checksums(self.map, slot)

    def failsafe(self) -> frozenset[bytes]:
        return frozenset(self.map("tcm_failsafe"))

    def set_failsafe(self, wanted: frozenset[bytes]) -> tuple[int, int]:
        """Makes the failsafe what is wanted; how many keys came and went. What stays is not touched."""
        return failsafe.replace(self.map("tcm_failsafe"), self.map("tcm_no_failsafe"), wanted)

    # --- observation ---

    def jiffies(self) -> int:
        return self._sample()[0]

    def counters(self) -> Mapping[int, tuple[int, int]]:
        return counting.many(self.map("tcm_counters"), range(abi.COUNTERS))

    def rule_hits(self, numbers: list[int]) -> dict[int, tuple[int, int]]:
        return counting.many(self.map("tcm_rule_hits"), numbers)

    def count(self, name: str, index: int) -> tuple[int, int]:
        """One counter of a per-CPU map, over all CPUs: packets and bytes."""
        return counting.one(self.map(name), index)

    @property
    def sessions(self) -> Sessions:
        return Sessions(self.map, self.programs.run)

    def timeouts(self) -> Timeouts:
        """When sessions expire, as the programs have it now."""
        return Timeouts.decode(self.settings())

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

    def close(self) -> None:
        for opened in self._maps.values():
            os.close(opened.fd)
        self._maps.clear()
        self._held.close()


def _is_bpffs(path: Path) -> bool:
    mounts = Path("/proc/self/mounts").read_text().splitlines()
    return any(line.split()[1:3] == [str(path), "bpf"] for line in mounts)
