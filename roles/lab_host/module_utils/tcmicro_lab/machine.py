"""One lab host as processes: systemd-nspawn, watched by a shell that starts it again when the host reboots."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from .cgroup import Cgroups
from .model import Act, Host, Lab
from .run import run, succeeds

CONSOLE = "console.log"  # in the host's directory
# systemd-nspawn --keep-unit leaves with 133 when its host reboots and counts on being started again.
SUPERVISOR = 'while "$@"; test $? -eq 133; do :; done'


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """What can be seen of a host: `running` answers ssh, `silent` has processes only, `stopped` none."""

    state: str
    uptime: float | None


class Machines:
    """Effect of Kind.MACHINE; the target is the host's name. Its processes are its cgroup's members."""

    def __init__(self, lab: Lab, members: tuple[Host, ...], cgroups: Cgroups) -> None:
        self.lab, self.cgroups = lab, cgroups
        self.hosts = {host.name: host for host in members}

    def exists(self, act: Act) -> bool:
        return bool(self.cgroups.members(self._cgroup(act.target)))

    def make(self, act: Act) -> None:
        """Starts the host and returns at once; it outlives us in a session and a cgroup of its own."""
        host = self.hosts[act.target]
        with (self.lab.host_directory(host) / CONSOLE).open("ab") as console:
            subprocess.Popen(
                ["sh", "-c", SUPERVISOR, "lab-supervisor", *command(self.lab, host)],
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
                cwd="/",
                env={"PATH": os.environ["PATH"], "SYSTEMD_NSPAWN_API_VFS_WRITABLE": "network"},
                start_new_session=True,
                preexec_fn=lambda: self.cgroups.enter(self._cgroup(act.target)),
            )

    def remove(self, act: Act) -> None:
        self.cgroups.kill(self._cgroup(act.target))
        self._unplug(act.target)
        leftover = Path("/run/systemd/nspawn/propagate") / machine_name(self.lab, act.target)
        with contextlib.suppress(FileNotFoundError):
            leftover.rmdir()

    def answers(self, act: Act) -> bool:
        """Whether sshd takes connections over the bridge; asked only once it listens, else the question waits."""
        pid = _first_process(self.cgroups.members(self._cgroup(act.target)))
        if pid is None or not _listens(pid):
            return False
        probe = [
            "nsenter",
            f"--net=/run/netns/{self.lab.name}",
            f"--root={self.lab.tree}",
            "/usr/bin/nc",
        ]
        return succeeds([*probe, "-z", "-n", "-w", "1", self.hosts[act.target].v4, "22"], limit=5)

    def state(self, act: Act) -> State:
        pids = self.cgroups.members(self._cgroup(act.target))
        if not pids:
            return State(state="stopped", uptime=None)
        return State(state="running" if self.answers(act) else "silent", uptime=_age(pids))

    def evidence(self, act: Act) -> str:
        """Where to read on when a host does not come up, and the end of what stands there."""
        console = self.lab.host_directory(self.hosts[act.target]) / CONSOLE
        tail = console.read_text(errors="replace").splitlines()[-3:]
        return f"{console} ends with {' | '.join(tail)!r}" if tail else f"{console} is empty"

    def _unplug(self, name: str) -> None:
        """Takes the bridge's end of its cable away. The kernel does too, once it gets round to the network of the dead;
        until then no machine of that name can be started."""
        if not Path(f"/run/netns/{self.lab.name}").exists():
            return
        links = json.loads(
            run(["ip", "-n", self.lab.name, "-json", "link", "show", "type", "veth"])
        )
        for link in links:
            if link.get("ifname", "").startswith(cable(self.lab, name)):
                succeeds(["ip", "-n", self.lab.name, "link", "delete", link["ifname"]])

    def _cgroup(self, name: str) -> str:
        return self.lab.cgroup(self.hosts[name])


def machine_name(lab: Lab, host: str) -> str:
    """Unlike the host's name, unique on this machine: systemd-nspawn keeps files under it."""
    return f"{host}-{lab.name.removeprefix('tcm-')}"


def cable(lab: Lab, host: str) -> str:
    """How systemd-nspawn's name for the bridge's end begins; it puts a hash in the place of what is too long."""
    return f"vb-{machine_name(lab, host)}"[:11]


def command(lab: Lab, host: Host) -> list[str]:
    """The systemd-nspawn command line. nsenter, not `ip netns exec`: that one hides the cgroups."""
    home = lab.host_directory(host)
    return [
        *(
            "nsenter",
            f"--net=/run/netns/{lab.name}",
            "systemd-nspawn",
            "--quiet",
            "--boot",
            "--settings=no",
        ),
        *("--register=no", "--keep-unit", "--console=pipe", "--link-journal=no"),
        *("--resolv-conf=off", "--timezone=off", "--network-bridge=br0"),
        *("--capability=all", "--system-call-filter=bpf perf_event_open"),
        f"--machine={machine_name(lab, host.name)}",
        f"--hostname={host.name}",
        f"--directory={home}/root",
        f"--bind={home}/bpf:/sys/fs/bpf",
    ]


def _first_process(pids: set[int]) -> int | None:
    """The host's own pid 1: the member whose innermost pid is 1."""
    for pid in pids:
        with contextlib.suppress(OSError):
            if _innermost_pid(Path(f"/proc/{pid}/status").read_text()) == "1":
                return pid
    return None


def _innermost_pid(status: str) -> str:
    line = next((line for line in status.splitlines() if line.startswith("NSpid:")), "")
    words = line.split()
    return words[-1] if len(words) > 2 else ""


def _listens(pid: int) -> bool:
    """Whether anybody in the network namespace of a process listens on port 22 (0x16; state 0A is LISTEN)."""
    with contextlib.suppress(OSError):
        rows = [line.split() for line in Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]]
        return any(row[1].endswith(":0016") and row[3] == "0A" for row in rows)
    return False


def _age(pids: set[int]) -> float | None:
    """Seconds since the host's pid 1 started."""
    with contextlib.suppress(OSError):
        now = float(Path("/proc/uptime").read_text().split()[0])
        stat = Path(f"/proc/{_first_process(pids)}/stat").read_text()
        return now - int(stat.rpartition(")")[2].split()[19]) / os.sysconf("SC_CLK_TCK")
    return None
