"""A host with a release as it is installed: its own files, bpf file system and network, no systemd.

The paths are those of the contract. They lie in a mount namespace that ends with the process holding it.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tcmicro_agent import abi
from tcmicro_agent.datapath.kernel import Kernel
from tests.bench.loaded import ROOT
from tests.bench.measure import MeasurementError
from tests.bench.world import Pair, pair
from tools import artifact

VERSIONS = ("0.0.1", "0.0.2")  # there at once; the first one is current
COMMAND = "/opt/tcmicro/current/bin/tc-micro"
READY_S = 60
CPUCLOCK_SCHED = (
    2  # of the clocks that a process has, as clock_getcpuclockid(3) makes their numbers
)
# /etc and /var/lib are overlaid only to have a place to mount at; what the agent writes goes to the disk
MOUNTS = """
set -e
mount -t sysfs sysfs /sys
mount --bind {bpffs} /sys/fs/bpf
mount -t tmpfs tmpfs /mnt
mkdir -p /mnt/{{etc,lib,opt}}/{{up,work}} /mnt/opt/up/tcmicro /mnt/etc/up/tcmicro /mnt/lib/up/tcmicro
mount -t overlay overlay -o lowerdir=/etc,upperdir=/mnt/etc/up,workdir=/mnt/etc/work /etc
mount -t overlay overlay -o lowerdir=/var/lib,upperdir=/mnt/lib/up,workdir=/mnt/lib/work /var/lib
mount -t overlay overlay -o lowerdir=/opt,upperdir=/mnt/opt/up,workdir=/mnt/opt/work /opt
mount --bind {root}/opt /opt/tcmicro
mount --bind {root}/etc /etc/tcmicro
mount --bind {root}/var /var/lib/tcmicro
mount -t tmpfs tmpfs /run
echo mounted
exec sleep infinity
"""


@dataclass(frozen=True)
class Spent:
    """What one process took: seconds from its start to its end, and of the processors."""

    wall: float
    cpu: float
    output: str
    peak_mb: float


class Host:
    """Enter with `installed`. The agent runs between `start` and `stop`."""

    def __init__(self, space: Pair, root: Path, bpffs: Path, holder: int) -> None:
        self.root = root
        self.pins = bpffs / "tcmicro" / str(abi.ABI)
        self.pid = 0
        self._daemon: subprocess.Popen[bytes] | None = None
        net = f"--net=/run/netns/{space.server.name}"
        self._enter = ["nsenter", f"--mount=/proc/{holder}/ns/mnt", net]
        self.space = space

    def configure(self, **content: object) -> None:
        document = {"mode": "protect", "allow_unsigned": True, **content}
        (self.root / "etc/agent.json").write_text(json.dumps(document))

    def switch(self, version: str) -> None:
        """Makes a release current by one rename, as the installer does; the agent that runs goes on running."""
        scratch = self.root / "opt/current.new"
        scratch.symlink_to(f"releases/{version}")
        scratch.rename(self.root / "opt/current")

    def command(self, *words: str) -> list[str]:
        """What runs a verb of the installed command line."""
        return [*self._enter, COMMAND, *words]

    def run(self, *words: str) -> Spent:
        """A verb, to its end. Raises MeasurementError when it fails."""
        start = time.perf_counter()
        done = subprocess.Popen(self.command(*words), stdout=subprocess.PIPE)
        output = done.stdout.read().decode()
        _, status, used = os.wait4(done.pid, 0)
        wall = time.perf_counter() - start
        done.returncode = os.waitstatus_to_exitcode(status)
        done.stdout.close()
        if done.returncode:
            raise MeasurementError(f"{' '.join(words)}: exit code {done.returncode}")
        return Spent(wall, used.ru_utime + used.ru_stime, output, used.ru_maxrss / 1024)

    def start(self) -> Spent:
        """The agent; returns when it tells the service manager that it is ready."""
        address = self.root / "etc/notify"  # by path: names without one are of a network namespace
        address.unlink(missing_ok=True)
        with closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as manager:
            manager.bind(str(address))
            manager.settimeout(READY_S)
            environment = {**os.environ, "NOTIFY_SOCKET": "/etc/tcmicro/notify"}
            log = (self.root / "log").open("ab")
            start = time.perf_counter()
            self._daemon = subprocess.Popen(self.command("run"), stderr=log, env=environment)
            log.close()
            self.pid = self._daemon.pid
            while manager.recv(64) != b"READY=1":
                pass
            wall = time.perf_counter() - start
        return Spent(wall, self.cpu_s(), "", self.peak_mb())

    def stop(self, number: int = signal.SIGTERM) -> None:
        if self._daemon and self._daemon.poll() is None:
            os.kill(self._daemon.pid, number)
            self._daemon.wait(10)

    def cpu_s(self) -> float:
        """Seconds of processors that the agent took since its start, those of ended threads too: a scrape is one."""
        return time.clock_gettime(~self.pid << 3 | CPUCLOCK_SCHED)

    def resident_mb(self) -> float:
        return self._kilobytes("VmRSS") / 1024

    def peak_mb(self) -> float:
        return self._kilobytes("VmHWM") / 1024

    def _kilobytes(self, name: str) -> int:
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))

    @contextmanager
    def kernel(self) -> Iterator[Kernel]:
        """Its datapath, for the length of a `with`."""
        opened = Kernel(self.pins)
        try:
            yield opened
        finally:
            opened.close()

    def unload(self) -> None:
        """As after a boot: nothing in the kernel, files as they are."""
        self.stop()
        Kernel(self.pins).unpin()


@contextmanager
def installed(name: str, bpffs: Path) -> Iterator[Host]:
    with ExitStack() as stack:
        space = stack.enter_context(pair(name, 10))
        root = Path(stack.enter_context(tempfile.TemporaryDirectory(dir="/var/tmp")))
        for folder in ("opt", "etc", "var"):
            (root / folder).mkdir()
        for version in VERSIONS:
            _install(root / "opt", version)
        mine = bpffs / name
        mine.mkdir()
        host = Host(space, root, mine, stack.enter_context(_mounted(space, root, mine)))
        host.configure()
        host.switch(VERSIONS[0])
        stack.callback(host.unload)
        yield host


def _install(home: Path, version: str) -> None:
    """This checkout as a release, as the installer leaves it."""
    release = home / "releases" / version
    for name, content in artifact.release_tree(ROOT, version).items():
        path = release / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    (release / artifact.LAUNCHER).chmod(0o755)
    with (release / "tcmicro.bpf.o").open("ab") as kernel_object:
        kernel_object.write(
            version.encode()
        )  # behind its end: the same programs, and yet others to be loaded


@contextmanager
def _mounted(space: Pair, root: Path, bpffs: Path) -> Iterator[int]:
    """A process in a mount namespace of the host's own."""
    script = MOUNTS.format(bpffs=bpffs, root=root)
    enter = ["nsenter", f"--net=/run/netns/{space.server.name}", "unshare", "-m"]
    holder = subprocess.Popen([*enter, "bash", "-c", script], stdout=subprocess.PIPE)
    try:
        if not holder.stdout.readline():
            raise MeasurementError("the host's files cannot be mounted: see above")
        yield holder.pid
    finally:
        holder.kill()
        holder.wait()
        holder.stdout.close()
