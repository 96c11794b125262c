"""What the kernel's tracepoints tell, by programs that bcc compiles on this host: who opens flows, what is dropped.

bcc and the kernel's headers are no part of a release and needed by nothing else: what lacks is named.
"""

from __future__ import annotations

import ctypes
import importlib.util
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from struct import Struct
from typing import Any

from tcmicro_agent.errors import KernelError, RefusedError

AF_INET = 2
FLOW = Struct("=QII16sHHHBB16s16s")
TRACEFS = (Path("/sys/kernel/tracing"), Path("/sys/kernel/debug/tracing"))
PACKAGES = {  # of bcc for Python, and of the headers of a kernel
    "debian": ("python3-bpfcc", "linux-headers-{release}"),
    "fedora": ("python3-bcc", "kernel-devel-{release}"),
    "suse": ("python3-bcc", "kernel-default-devel of {release}"),
    "arch": ("python-bcc", "linux-headers of {release}"),
}
LIKE = {
    "ubuntu": "debian",
    "rhel": "fedora",
    "centos": "fedora",
    "opensuse": "suse",
    "sles": "suse",
}


@dataclass(frozen=True)
class Means:
    """What there is to trace with."""

    release: str  # of the running kernel
    system: str  # a key of PACKAGES, "" for any other
    bcc: bool
    headers: bool
    tracefs: bool


@dataclass(frozen=True)
class Flow:
    """One new TCP flow. `pid` and `comm` are of who opened it; nobody's when the peer did (`called`).
    `failed`: refused, reset or timed out."""

    boot_ns: int
    pid: int
    uid: int
    comm: str
    local: str
    local_port: int
    remote: str
    remote_port: int
    called: bool
    failed: bool


@dataclass(frozen=True)
class Drop:
    """Packets dropped at one place of the kernel for one reason, "" where the kernel tells none."""

    reason: str
    place: str
    protocol: int
    packets: int


def lacking(means: Means) -> tuple[str, str] | None:
    """What lacks for this very kernel, and how to get it; None when nothing does. Pure."""
    bcc, headers = PACKAGES.get(
        means.system, ("bcc for Python 3", "the headers of Linux {release}")
    )
    headers = headers.format(release=means.release)
    missing, advice = [], []
    if not means.bcc:
        missing.append("bcc for Python")
        advice.append(f"install {bcc}")
    if not means.headers:
        missing.append(f"the headers of kernel {means.release}")
        advice.append(
            f"install {headers}, or boot a kernel with CONFIG_IKHEADERS (modprobe kheaders), "
            "or name their directory in BCC_KERNEL_SOURCE"
        )
    if not means.tracefs:
        missing.append("the tracing file system")
        advice.append("mount -t tracefs tracefs /sys/kernel/tracing")
    if not missing:
        return None
    return f"tracing needs what is not here: {', '.join(missing)}", "; ".join(advice)


def means() -> Means:
    release = os.uname().release
    modules = Path("/lib/modules") / release
    named = os.environ.get("BCC_KERNEL_SOURCE")
    places = [Path(named)] if named else [modules / "build", modules / "source"]
    return Means(
        release=release,
        system=system(_read(Path("/etc/os-release"))),
        bcc=importlib.util.find_spec("bcc") is not None,
        headers=Path("/sys/kernel/kheaders.tar.xz").exists()
        or any((place / "include").is_dir() for place in places),
        tracefs=any((folder / "events").is_dir() for folder in TRACEFS),
    )


def system(os_release: str) -> str:
    """A key of PACKAGES by os-release(5), "" for one that we know no packages of."""
    fields = dict(re.findall(r'^(ID|ID_LIKE)="?([^"\n]*)"?$', os_release, re.MULTILINE))
    names = f"{fields.get('ID', '')} {fields.get('ID_LIKE', '')}".split()
    known = [LIKE.get(name.partition("-")[0], name.partition("-")[0]) for name in names]
    return next((name for name in known if name in PACKAGES), "")


def compiled(path: Path, *flags: str) -> Any:
    """A bcc.BPF of the program in a file, loaded and attached until the process ends. Raises RefusedError where bcc or
    headers lack."""
    missing = lacking(means())
    if missing:
        raise RefusedError(missing[0], hint=missing[1])
    from bcc import BPF

    try:
        return BPF(text=path.read_text(), cflags=[*flags, "-Wno-macro-redefined"])
    except Exception as exc:  # bcc has no class of its own for what clang or the verifier refuses
        hint = "what clang or the verifier said stands above"
        raise KernelError(f"{path.name}: bcc cannot load it: {exc}", hint=hint) from exc


class Flows:
    """New TCP flows of this machine, of every network namespace."""

    def __init__(self, folder: Path) -> None:
        self._taken: list[Flow] = []
        self._bpf = compiled(folder / "flows.c")
        self._bpf["flows"].open_ring_buffer(self._keep)

    def take(self, wait_ms: int) -> list[Flow]:
        """Those that came, or come within that time."""
        self._taken = []
        self._bpf.ring_buffer_poll(timeout=wait_ms)
        return self._taken

    def lost(self) -> int:
        """Flows that came faster than they were read."""
        return int(next(iter(self._bpf["lost"].values())).value)

    def _keep(self, _context: Any, data: Any, _size: int) -> None:
        self._taken.append(flow(ctypes.string_at(data, FLOW.size)))


def flow(data: bytes) -> Flow:
    """From a struct flow of bpf/trace/flows.c."""
    boot_ns, pid, uid, comm, *rest = FLOW.unpack(data)
    local_port, remote_port, family, called, failed, local, remote = rest
    size = 4 if family == AF_INET else 16
    return Flow(
        boot_ns=boot_ns,
        pid=pid,
        uid=uid,
        comm=comm.partition(b"\0")[0].decode(errors="replace"),
        local=_address(local[:size]),
        local_port=local_port,
        remote=_address(remote[:size]),
        remote_port=remote_port,
        called=bool(called),
        failed=bool(failed),
    )


class Drops:
    """Packets that the kernel drops on this machine, in every network namespace, counted from now on."""

    def __init__(self, folder: Path) -> None:
        text = _read_first(root / "events/skb/kfree_skb/format" for root in TRACEFS)
        self._reasons = reasons(text)
        flags = ["-DHAS_REASON"] if self._reasons else []
        self._bpf = compiled(folder / "drops.c", *flags)

    def read(self) -> list[Drop]:
        """The most first."""
        found = [
            Drop(
                reason=self._reasons.get(key.reason, f"reason-{key.reason}")
                if self._reasons
                else "",
                place=self._bpf.ksym(key.location).decode(errors="replace"),
                protocol=key.protocol,
                packets=value.value,
            )
            for key, value in self._bpf["drops"].items()
        ]
        return sorted(found, key=lambda drop: (-drop.packets, drop.place))


def reasons(text: str) -> Mapping[int, str]:
    """Names of the reasons by number, out of the tracepoint's format; none before Linux 5.17."""
    named = re.findall(r'\{ *(\d+|0x[0-9a-f]+), "(\w+)" *\}', text.partition("reason: %s")[2])
    return {int(number, 0): name.lower() for number, name in named}


def _address(data: bytes) -> str:
    address = ip_address(data)
    mapped = getattr(address, "ipv4_mapped", None)
    return str(mapped or address)


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""


def _read_first(paths: Any) -> str:
    return next((text for text in map(_read, paths) if text), "")
