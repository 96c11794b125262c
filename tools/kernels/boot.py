"""One guest from power-on to its results, by qemu without hardware virtualization, which this may itself run under.

Guest time counts instructions (icount), not seconds: a busy machine makes a test slow but never late, and a guest
that only waits jumps to the end of the wait. The price: one CPU runs, of two that the kernel believes possible.
"""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import tarfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tools.process import ToolError

MEMORY = 1536  # MiB: the initramfs twice while it is unpacked, and the tests
# CPU seconds, which a busy machine does not make more of; a guest needs some 600, and its longest silence 60.
STILL = 400  # without a word on the console: it hangs
LIMIT = 3600  # in all
ASLEEP = 300  # seconds in which it used no CPU: it waits for what never comes
TAIL = 30  # lines of the console that are shown
# Nothing that slows an emulated CPU without changing what a program or its verifier does.
COMMAND_LINE = (
    "console=ttyS0 panic=-1 loglevel=4 mitigations=off init_on_alloc=0 audit=0 apparmor=0"
)

given_up = threading.Event()  # no guest outlives whoever waits for it


@dataclass(frozen=True)
class Guest:
    """Files of one boot, all in one folder."""

    folder: Path
    memory_mb: int = MEMORY

    @property
    def initrd(self) -> Path:
        return self.folder / "initrd"

    @property
    def console(self) -> Path:
        return self.folder / "console.log"

    @property
    def results(self) -> Path:
        return self.folder / "results.tar.gz"


def argv(vmlinuz: Path, guest: Guest) -> list[str]:
    return [
        *("qemu-system-x86_64", "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"),
        *("-accel", "tcg,tb-size=512", "-icount", "shift=0,sleep=off", "-rtc", "clock=vm"),
        *("-cpu", "qemu64", "-smp", "1,maxcpus=2", "-m", str(guest.memory_mb)),
        *("-kernel", str(vmlinuz), "-initrd", str(guest.initrd), "-append", COMMAND_LINE),
        *("-serial", f"file:{guest.console}", "-serial", f"file:{guest.results}"),
    ]


def run(vmlinuz: Path, guest: Guest) -> tuple[dict[str, str], float]:
    """Boots and waits for the end: what the guest handed out, text by file name, and the CPU seconds it took."""
    with _started(argv(vmlinuz, guest)) as machine:
        reason, used = _wait(machine, guest.console)
    if reason:
        raise ToolError(f"{reason}; the console ends with:\n{tail(_text(guest.console))}")
    return results(guest.results.read_bytes(), _text(guest.console)), used


def results(archive: bytes, console: str) -> dict[str, str]:
    """Text by file name; a guest that handed out nothing did not come to its end."""
    try:
        with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
            found = {member.name: tar.extractfile(member) for member in tar if member.isfile()}
            return {
                name.removeprefix("./"): file.read().decode()
                for name, file in found.items()
                if file
            }
    except (tarfile.TarError, EOFError) as exc:
        raise ToolError(
            f"it switched off without whole results; the console ends with:\n{tail(console)}"
        ) from exc


def tail(console: str) -> str:
    lines = [line.rstrip() for line in console.splitlines() if line.strip()]
    return "\n".join(f"    {line}" for line in lines[-TAIL:]) or "    nothing at all"


@contextlib.contextmanager
def _started(words: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    try:
        machine = subprocess.Popen(words, stdin=subprocess.DEVNULL)
    except FileNotFoundError as exc:
        raise ToolError(f"{words[0]} is not installed; run 'make setup'") from exc
    try:
        yield machine
    finally:
        machine.kill()
        machine.wait()


def _wait(machine: subprocess.Popen[bytes], console: Path) -> tuple[str, float]:
    """Until it ends, or is past a limit: why it was given up, or nothing, and the CPU seconds it used."""
    used = spoke = 0.0
    awake, size = time.monotonic(), 0
    while machine.poll() is None:
        now, spent, grown = time.monotonic(), _cpu_seconds(machine.pid), _size(console)
        if spent > used:
            used, awake = spent, now
        if grown != size:
            spoke, size = used, grown
        if given_up.is_set():
            return "given up", used
        if reason := _past_limit(used, used - spoke, now - awake):
            return reason, used
        time.sleep(0.5)
    return (
        "" if machine.returncode == 0 else f"qemu ended with exit code {machine.returncode}",
        used,
    )


def _past_limit(used: float, silent: float, asleep: float) -> str:
    """Which limit it is past, or nothing: CPU seconds in all and without a word, seconds without CPU."""
    if used > LIMIT:
        return f"no end after {LIMIT} CPU seconds"
    if silent > STILL:
        return f"hangs: no word on the console for {STILL} CPU seconds"
    return f"sleeps: no CPU used for {ASLEEP} s" if asleep > ASLEEP else ""


def _cpu_seconds(pid: int) -> float:
    """Of a process that may just have ended: it is not waited for yet, so it still has its times."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _text(path: Path) -> str:
    return path.read_text(errors="replace") if path.exists() else ""
