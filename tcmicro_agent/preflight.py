#!/usr/bin/env python3
"""What this host is, and whether tcmicro may run on it. Changes nothing.

One self-contained file for Python 3.9 and its standard library: Ansible sends it to hosts that have nothing
of ours yet (`python3 preflight.py --json`), and the installed agent imports it for `tc-micro preflight`.
`collect_facts` looks, `judge` decides: every finding is reported at once.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import platform
import re
import shutil
import struct
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

ARCHITECTURES = ("x86_64", "aarch64")
BPFFS = "/sys/fs/bpf"
ABI = 2  # of the maps of this release
READABLE = (1, 2)  # abis whose sessions this release carries over
OUR_PINS = f"{BPFFS}/tcmicro"
TRANSACTION = "/var/lib/tcmicro/txn.json"
OUR_UNIT = "tcmicro-agent.service"
OUR_PREFIX = "tcm_"  # names of our kernel programs; everything else at a hook is somebody else's
EXIT_REFUSED = 3


@dataclass(frozen=True)
class Needs:
    """The least that a host must have; `headroom_mb` is what it should have."""

    kernel: tuple[int, ...] = (5, 10)
    python: tuple[int, ...] = (3, 9)
    libbpf: tuple[int, ...] = (0, 6)
    systemd: int = 245
    memory_mb: int = 256
    headroom_mb: int = 1024
    disk_mb: int = 200
    metrics_port: int = 9931


@dataclass(frozen=True)
class Facts:
    """What was found; None where the host would not tell."""

    kernel: str
    arch: str
    python: tuple[int, ...]
    root: bool
    btf: bool
    libbpf: tuple[int, ...] | None
    jit: bool | None
    bpffs: str  # mounted | mountable | missing
    systemd: int | None
    systemd_running: bool
    memory_mb: int
    disk_mb: tuple[tuple[str, int], ...]
    port_owner: str  # "" = free or our own
    foreign: tuple[str, ...]  # programs of others at tc hooks: "eth0 ingress: name"
    other_abis: tuple[int, ...] = ()  # of datapaths of ours that are loaded
    pending: str = ""  # a policy change that waits to be confirmed: "generation 7, 42 s left"


@dataclass(frozen=True)
class Finding:
    """One line of the verdict; `hint` says what to do when the level is not ok."""

    check: str
    level: str  # ok | warn | fail
    found: str
    needed: str
    hint: str = ""


# --- deciding ---------------------------------------------------------------------------------

ADVICE = {
    "btf",
    "jit",
    "foreign_programs",
    "memory_headroom",
    "datapath",
}  # these warn, all others refuse

HINTS = {
    "kernel": "boot a newer kernel",
    "arch": "no release is built for this machine",
    "btf": "enforcement works without it; tracing needs CONFIG_DEBUG_INFO_BTF",
    "jit": "programs are interpreted, several times slower: sysctl net.core.bpf_jit_enable=1",
    "bpffs": f"mount -t bpf bpf {BPFFS}",
    "foreign_programs": "they keep running beside ours; on clsact one that accepts keeps packets from ours",
    "datapath": "this release takes it over: no packet goes unjudged, connections go on; counters begin at 0",
    "policy_change": "confirm or revert it first: it cannot be carried over to another abi",
    "root": "run as root; with Ansible: become: true",
    "python": "install python3, or set ansible_python_interpreter",
    "libbpf": "install libbpf (Debian: libbpf1 or libbpf0)",
    "systemd": "the agent is a systemd service: the host must run systemd as its init",
    "memory": "free or add memory",
    "memory_headroom": "the agent fits; free or add memory before sessions grow",
    "disk /opt": "make room: releases are unpacked under /opt/tcmicro",
    "disk /var": "make room: bundles are kept under /var/lib/tcmicro",
    "metrics_port": "stop what listens there or choose another metrics port",
}


def judge(facts: Facts, needs: Needs) -> list[Finding]:
    """Every check, in a fixed order. Pure."""
    rows = [*_kernel(facts, needs), *_userland(facts, needs), *_room(facts, needs)]
    return [_finding(*row) for row in rows]


def _finding(check: str, good: bool, found: str, needed: str) -> Finding:  # noqa: FBT001
    if good:
        return Finding(check, "ok", found, needed)
    return Finding(check, "warn" if check in ADVICE else "fail", found, needed, HINTS[check])


def allowed(findings: Sequence[Finding]) -> bool:
    return all(finding.level != "fail" for finding in findings)


def document(findings: Sequence[Finding]) -> dict[str, object]:
    """The Preflight document of the command line contract."""
    return {
        "apiVersion": "tcmicro/v1",
        "kind": "Preflight",
        "ok": allowed(findings),
        "findings": [vars(finding) for finding in findings],
    }


def _kernel(facts: Facts, needs: Needs) -> Iterator[tuple[str, bool, str, str]]:
    enough = parse_version(facts.kernel) >= needs.kernel
    jit = {True: "on", False: "off", None: "not visible in this network namespace"}[facts.jit]
    known = facts.arch in ARCHITECTURES
    yield "kernel", enough, facts.kernel, f">= {dotted(needs.kernel)}"
    yield "arch", known, facts.arch, " or ".join(ARCHITECTURES)
    yield "btf", facts.btf, "present" if facts.btf else "missing", "/sys/kernel/btf/vmlinux"
    yield "jit", facts.jit is not False, jit, "on"
    yield "bpffs", facts.bpffs != "missing", facts.bpffs, f"mounted or mountable at {BPFFS}"
    yield "foreign_programs", not facts.foreign, "; ".join(facts.foreign) or "none", "none"
    yield "datapath", not facts.other_abis, _datapaths(facts), f"abi {ABI} or none"
    carried = not (facts.other_abis and facts.pending)
    yield "policy_change", carried, facts.pending or "none", "none pending while the abi changes"


def _datapaths(facts: Facts) -> str:
    unread = "" if set(facts.other_abis) <= set(READABLE) else ", with sessions that cannot be read"
    names = ", ".join(f"abi {number}" for number in facts.other_abis)
    return f"{names} loaded{unread}" if names else "none of another abi"


def _userland(facts: Facts, needs: Needs) -> Iterator[tuple[str, bool, str, str]]:
    libbpf = dotted(facts.libbpf) if facts.libbpf else "missing"
    systemd = f"{facts.systemd or 'missing'}{'' if facts.systemd_running else ', not running'}"
    new_enough = facts.systemd_running and (facts.systemd or 0) >= needs.systemd
    yield "root", facts.root, "root" if facts.root else "not root", "root"
    yield "python", facts.python >= needs.python, dotted(facts.python), f">= {dotted(needs.python)}"
    yield "libbpf", (facts.libbpf or ()) >= needs.libbpf, libbpf, f">= {dotted(needs.libbpf)}"
    yield "systemd", new_enough, systemd, f">= {needs.systemd}, running"


def _room(facts: Facts, needs: Needs) -> Iterator[tuple[str, bool, str, str]]:
    memory, owner = facts.memory_mb, facts.port_owner
    for check, least in (("memory", needs.memory_mb), ("memory_headroom", needs.headroom_mb)):
        yield check, memory >= least, f"{memory} MB free", f">= {least} MB"
    for path, free in facts.disk_mb:
        yield f"disk {path}", free >= needs.disk_mb, f"{free} MB free", f">= {needs.disk_mb} MB"
    yield "metrics_port", not owner, owner or "free", f"tcp port {needs.metrics_port} free"


def parse_version(text: str) -> tuple[int, ...]:
    """Leading numbers of a version: "6.1.0-18-amd64" is (6, 1, 0); nothing readable is ()."""
    match = re.match(r"\d+(\.\d+)*", text)
    return tuple(int(part) for part in match.group().split(".")) if match else ()


def dotted(version: tuple[int, ...]) -> str:
    return ".".join(str(part) for part in version)


# --- looking ----------------------------------------------------------------------------------


def collect_facts(needs: Needs) -> Facts:
    """Read this host. Nothing is written, loaded or mounted."""
    return Facts(
        kernel=platform.release(),
        arch=platform.machine(),
        python=tuple(sys.version_info[:3]),
        root=os.geteuid() == 0,
        btf=os.path.exists("/sys/kernel/btf/vmlinux"),
        libbpf=libbpf_version(),
        jit={"": None, "0": False}.get(read("/proc/sys/net/core/bpf_jit_enable"), True),
        bpffs=bpffs_state(read("/proc/mounts"), read("/proc/filesystems")),
        systemd=systemd_version(),
        systemd_running=os.path.isdir("/run/systemd/system"),
        memory_mb=available_mb(read("/proc/meminfo")),
        disk_mb=tuple((path, free_mb(path)) for path in ("/opt", "/var")),
        port_owner=port_owner(needs.metrics_port),
        foreign=tuple(sorted(foreign_programs())),
        other_abis=tuple(sorted(set(loaded_abis(Path(OUR_PINS))) - {ABI})),
        pending=pending_change(read(TRANSACTION), boot_id(), boot_ms()),
    )


def read(path: str) -> str:
    """The text of a small file, "" when it cannot be read."""
    try:
        return Path(path).read_text(errors="replace").strip()
    except OSError:
        return ""


def loaded_abis(pins: Path) -> Iterator[int]:
    """Numbers of the datapaths that are pinned, those set aside by an agent that was cut included."""
    try:
        names = os.listdir(pins)
    except OSError:
        return
    for name in names:
        match = re.fullmatch(r"(\d+)(-aside)?", name)
        if match:
            yield int(match.group(1))


def pending_change(transaction: str, boot: str, now_ms: int) -> str:
    """What the transaction file says of a change that still waits, "" when none does."""
    try:
        found = json.loads(transaction or "{}")
        left = (found["deadline_ms"] - now_ms) / 1000
        waits = found["state"] == "pending" and found["boot_id"] == boot and left > 0
        return f"generation {found['generation']}, {left:.0f} s left" if waits else ""
    except (ValueError, KeyError, TypeError):
        return ""


def boot_id() -> str:
    return read("/proc/sys/kernel/random/boot_id")


def boot_ms() -> int:
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000


def bpffs_state(mounts: str, filesystems: str) -> str:
    if any(line.split()[1:3] == [BPFFS, "bpf"] for line in mounts.splitlines()):
        return "mounted"
    return "mountable" if re.search(r"\bbpf$", filesystems, re.MULTILINE) else "missing"


def available_mb(meminfo: str) -> int:
    match = re.search(r"^MemAvailable:\s+(\d+) kB", meminfo, re.MULTILINE)
    return int(match.group(1)) // 1024 if match else 0


def free_mb(path: str) -> int:
    found = os.statvfs(path if os.path.isdir(path) else "/")
    return found.f_bavail * found.f_frsize // (1 << 20)


def libbpf_version() -> tuple[int, ...] | None:
    for name in ("libbpf.so.1", "libbpf.so.0"):
        try:
            library = ctypes.CDLL(name)
        except OSError:
            continue
        try:
            return (library.libbpf_major_version(), library.libbpf_minor_version())
        except AttributeError:  # the functions came with 0.6
            return (0, 5)
    return None


def run(*argv: str) -> str:
    """Standard output of a command, "" when it is missing, slow or failing."""
    if shutil.which(argv[0]) is None:
        return ""
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout if done.returncode == 0 else ""


def systemd_version() -> int | None:
    match = re.match(r"systemd (\d+)", run("systemctl", "--version"))
    return int(match.group(1)) if match else None


def port_owner(port: int) -> str:
    """Who listens on a TCP port, "" when nobody or our own service does."""
    tables = read("/proc/net/tcp") + "\n" + read("/proc/net/tcp6")
    inodes = listening_inodes(tables, port)
    if not inodes:
        return ""
    for process in Path("/proc").glob("[0-9]*"):
        if inodes & set(socket_inodes(process)):
            ours = OUR_UNIT in read(f"{process}/cgroup")
            return "" if ours else f"taken by {read(f'{process}/comm')} (pid {process.name})"
    return "taken by an unknown process"


def listening_inodes(tables: str, port: int) -> set[str]:
    """Socket inodes in state LISTEN (0A) on a port, from /proc/net/tcp text."""
    rows = (line.split() for line in tables.splitlines())
    return {
        row[9]
        for row in rows
        if len(row) > 9 and row[3] == "0A" and row[1].endswith(f":{port:04X}")
    }


def socket_inodes(process: Path) -> Iterator[str]:
    try:
        for entry in os.scandir(process / "fd"):
            yield os.readlink(entry.path)[len("socket:[") : -1]
    except OSError:
        return  # it ended, or belongs to somebody else


# --- programs at the tc hooks: bpf(2) itself, since bpftool is rarely installed ---------------

BPF_SYSCALL = {"x86_64": 321, "aarch64": 280}
PROG_GET_FD_BY_ID, OBJ_GET_INFO_BY_FD, PROG_QUERY = 13, 15, 16
TCX_HOOKS = {"ingress": 46, "egress": 47}
NAME_OFFSET = 64  # of bpf_prog_info.name


def foreign_programs() -> Iterator[str]:
    """`eth0 ingress: name` for every program of others, on tcx and on clsact."""
    for name in sorted(os.listdir("/sys/class/net")):
        for hook, attach_type in TCX_HOOKS.items():
            index = read(f"/sys/class/net/{name}/ifindex")
            found = tcx_programs(int(index), attach_type) if index.isdigit() else []
            found += clsact_programs(run("tc", "-j", "filter", "show", "dev", name, hook))
            yield from (
                f"{name} {hook}: {prog}" for prog in found if not prog.startswith(OUR_PREFIX)
            )


def clsact_programs(listing: str) -> list[str]:
    """Names of the bpf filters in `tc -j filter show`; other kinds are not ours either: their kind."""
    filters = [row for row in json.loads(listing or "[]") if "options" in row]
    return [str(row["options"].get("bpf_name", row.get("kind", "filter"))) for row in filters]


def tcx_programs(index: int, attach_type: int) -> list[str]:
    """Names of the programs attached by tcx; [] on kernels without it (before 6.6)."""
    ids = (ctypes.c_uint32 * 64)()
    query = struct.pack(
        "=IIIIQI", index, attach_type, 0, 0, ctypes.addressof(ids), len(ids)
    ) + bytes(36)
    answer = bpf(PROG_QUERY, query)
    if answer is None:
        return []
    (count,) = struct.unpack_from("=I", answer, 24)
    return [program_name(number) for number in ids[: min(count, len(ids))]]


def program_name(number: int) -> str:
    fd = bpf_fd(PROG_GET_FD_BY_ID, struct.pack("=III", number, 0, 0))
    if fd < 0:
        return f"program {number}"
    info = ctypes.create_string_buffer(256)
    try:
        bpf(OBJ_GET_INFO_BY_FD, struct.pack("=IIQ", fd, len(info), ctypes.addressof(info)))
    finally:
        os.close(fd)
    name = info.raw[NAME_OFFSET : NAME_OFFSET + 16].split(b"\0")[0].decode(errors="replace")
    return name or f"program {number}"


def bpf(command: int, attributes: bytes) -> bytes | None:
    """One bpf(2) call; the attributes as the kernel left them, None when it refused."""
    buffer = ctypes.create_string_buffer(attributes, len(attributes))
    return buffer.raw if _bpf(command, buffer) >= 0 else None


def bpf_fd(command: int, attributes: bytes) -> int:
    return _bpf(command, ctypes.create_string_buffer(attributes, len(attributes)))


def _bpf(command: int, buffer: ctypes.Array[ctypes.c_char]) -> int:
    number = BPF_SYSCALL.get(platform.machine())
    if number is None:
        return -1
    return int(ctypes.CDLL(None).syscall(number, command, ctypes.byref(buffer), len(buffer)))


# --- the script -------------------------------------------------------------------------------


def text(findings: Sequence[Finding]) -> str:
    """One line per finding for people."""
    rows = [f"{f.level:4}  {f.check:16}  {f.found} (needed: {f.needed})" for f in findings]
    hints = [f"      {f.check}: {f.hint}" for f in findings if f.hint]
    return "\n".join(rows + hints)


def main(argv: Sequence[str] | None = None) -> int:
    default = Needs()
    parser = argparse.ArgumentParser(description="May tcmicro run on this host? Changes nothing.")
    parser.add_argument("--json", action="store_true", help="one JSON document on standard output")
    parser.add_argument("--memory-mb", type=int, default=default.memory_mb)
    parser.add_argument("--disk-mb", type=int, default=default.disk_mb)
    parser.add_argument("--metrics-port", type=int, default=default.metrics_port)
    options = parser.parse_args(argv)
    needs = Needs(
        memory_mb=options.memory_mb, disk_mb=options.disk_mb, metrics_port=options.metrics_port
    )
    findings = judge(collect_facts(needs), needs)
    print(json.dumps(document(findings)) if options.json else text(findings))
    return 0 if allowed(findings) else EXIT_REFUSED


if __name__ == "__main__":
    sys.exit(main())
