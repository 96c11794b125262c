"""One lab host as a virtual machine: qemu in the lab's namespace, a tap of its own on the lab's bridge."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from .boot import Clock
from .images import image
from .machine import CONSOLE, Machines, State
from .model import Act, Host, Kind, Lab
from .network import BRIDGE
from .record import write_file
from .run import run, succeeds

# Nothing that slows an emulated CPU without changing what a program or its verifier does.
COMMAND_LINE = (
    "root=/dev/vda rw console=ttyS0 net.ifnames=0 panic=5 mitigations=off init_on_alloc=0 audit=0"
)
EMULATED, VIRTUAL = "tcg,thread=multi,tb-size=256", "kvm"
KVM = Path("/dev/kvm")
KVM_SILENT_S, KVM_PROBE_S = 15, 60  # until its kernel says a word, until it answers
FIRST_WORD = "Linux version"


class VirtualMachines(Machines):
    """Effect of Kind.VM: a host as a container is one, but for how it is started and asked."""

    def make(self, act: Act) -> None:
        """Switches the machine on and returns at once; it outlives us in a session and a cgroup of its own."""
        self.start(act, (self.lab.directory / "accelerator").read_text().strip())

    def start(self, act: Act, accelerator: str) -> None:
        host = self.hosts[act.target]
        self._tap(host)
        with (self.lab.host_directory(host) / "qemu.log").open("ab") as log:
            subprocess.Popen(
                command(self.lab, host, accelerator),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                env={"PATH": os.environ["PATH"]},
                start_new_session=True,
                preexec_fn=lambda: self.cgroups.enter(self._cgroup(act.target)),
            )

    def remove(self, act: Act) -> None:
        """As if its power was cut; the tap goes with the namespace."""
        self.cgroups.kill(self._cgroup(act.target))

    def answers(self, act: Act) -> bool:
        """Whether sshd says who it is: a connection alone may still be refused a moment later."""
        namespace = f"--net=/run/netns/{self.lab.name}"
        reader = ["/usr/bin/nc", "-n", "-w", "2", self.hosts[act.target].v4, "22"]
        words = ["nsenter", namespace, f"--root={self.lab.tree}", *reader]
        try:
            done = subprocess.run(words, capture_output=True, timeout=8, stdin=subprocess.DEVNULL)
        except subprocess.TimeoutExpired as late:
            return (late.stdout or b"").startswith(b"SSH-")
        return done.stdout.startswith(b"SSH-")

    def speaks(self, act: Act) -> bool:
        """Whether its kernel has begun."""
        console = self.lab.host_directory(self.hosts[act.target]) / CONSOLE
        return console.exists() and FIRST_WORD in console.read_text(errors="replace")

    def state(self, act: Act) -> State:
        if not self.exists(act):
            return State(state="stopped", uptime=None)
        return State(state="running" if self.answers(act) else "silent", uptime=None)

    def evidence(self, act: Act) -> str:
        """Where to read on when a host does not come up, and the end of what stands there."""
        home = self.lab.host_directory(self.hosts[act.target])
        lines = [
            line
            for name in ("qemu.log", CONSOLE)
            if (home / name).exists()
            for line in (home / name).read_text(errors="replace").splitlines()[-3:]
        ]
        return f"{home}/{CONSOLE} ends with {' | '.join(lines)!r}"

    def _tap(self, host: Host) -> None:
        name = tap_name(host)
        if not succeeds(["ip", "-n", self.lab.name, "link", "show", name]):
            run(["ip", "-n", self.lab.name, "tuntap", "add", "dev", name, "mode", "tap"])
        run(["ip", "-n", self.lab.name, "link", "set", name, "master", BRIDGE, "up"])


def tap_name(host: Host) -> str:
    """At most 15 characters, as a link's name has to be."""
    return f"tap-{host.name}"[:15]


def mac(host: Host) -> str:
    """Locally administered, from the host's own address."""
    return "52:54:" + ":".join(f"{int(part):02x}" for part in host.v4.split("."))


def command(lab: Lab, host: Host, accel: str) -> list[str]:
    """The qemu command line, in the lab's namespace. Data of the disk outlives qemu, not the guest's memory."""
    home, medium = lab.host_directory(host), lab.medium(host)
    files = lab.directory / medium.directory
    return [
        *("nsenter", f"--net=/run/netns/{lab.name}", "qemu-system-x86_64"),
        *("-nodefaults", "-no-user-config", "-display", "none", "-name", host.name),
        *("-machine", "q35", "-accel", accel, "-cpu", "host" if accel == VIRTUAL else "max"),
        *("-smp", "1", "-m", str(image(medium.image).memory_mb)),
        *("-kernel", f"{files}/vmlinuz", "-initrd", f"{files}/initrd", "-append", COMMAND_LINE),
        *("-drive", f"file={home}/disk,format=raw,if=virtio,cache=unsafe"),
        *("-netdev", f"tap,id=net0,ifname={tap_name(host)},script=no,downscript=no"),
        *("-device", f"virtio-net-pci,netdev=net0,mac={mac(host)}", "-device", "virtio-rng-pci"),
        *("-chardev", f"file,id=console,path={home}/{CONSOLE},append=on"),
        *("-serial", "chardev:console"),
    ]


class Accelerator:
    """Effect of Kind.ACCELERATOR, a file: KVM only where a machine came up by it: the device alone says little."""

    def __init__(self, machines: VirtualMachines, clock: Clock) -> None:
        self.machines, self.clock = machines, clock

    def exists(self, act: Act) -> bool:
        return Path(act.target).exists()

    def make(self, act: Act) -> None:
        write_file(
            Path(act.target), f"{VIRTUAL if KVM.exists() and self._comes_up() else EMULATED}\n"
        )

    def remove(self, act: Act) -> None:
        """What was found out about this machine stays, as its images do."""

    def _comes_up(self) -> bool:
        first = Act(Kind.VM, next(iter(self.machines.hosts)))
        begun = self.clock.now()
        self.machines.start(first, VIRTUAL)
        try:
            while self.machines.exists(first) and self._may_come(first, self.clock.now() - begun):
                if self.machines.answers(first):
                    return True
                self.clock.sleep(1)
            return False
        finally:
            self.machines.remove(first)

    def _may_come(self, first: Act, waited: float) -> bool:
        limit = KVM_PROBE_S if self.machines.speaks(first) else KVM_SILENT_S
        return waited < limit
