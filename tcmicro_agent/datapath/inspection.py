"""What the kernel says of itself and of what we have in it: programs, maps, links, addresses, filters."""

from __future__ import annotations

import ctypes
import gzip
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tcmicro_agent.datapath import libbpf, netlink

PROGRAM_INFO = 256  # bytes of struct bpf_prog_info that are asked for
MOST = 5000  # of a kind: addresses, routes, filters
OPTIONS = re.compile(
    r"^CONFIG_(?:BPF|DEBUG_INFO_BTF|NET_CLS|NET_SCH|NET_ACT_BPF|IKHEADERS|KPROBES|FTRACE\b|INET_DIAG|HZ|PREEMPT)"
)
SETTINGS = (
    "net/core/bpf_jit_enable",
    "net/core/bpf_jit_harden",
    "net/core/bpf_jit_kallsyms",
    "kernel/unprivileged_bpf_disabled",
    "net/ipv4/ip_forward",
    "net/ipv6/conf/all/forwarding",
    "net/ipv4/conf/all/rp_filter",
)


def programs(pins: Path) -> list[dict[str, Any]]:
    """Every pinned program: sizes, instructions verified (since 5.16), runs with kernel.bpf_stats_enabled."""
    return [_program(path) for path in sorted((pins / "programs").glob("*"))]


def _program(pin: Path) -> dict[str, Any]:
    fd = libbpf.get(pin)
    try:
        buffer = ctypes.create_string_buffer(PROGRAM_INFO)
        length = ctypes.c_uint32(PROGRAM_INFO)
        libbpf.library().bpf_obj_get_info_by_fd(fd, buffer, ctypes.byref(length))
    finally:
        os.close(fd)
    data = buffer.raw
    words, longs = memoryview(data).cast("I"), memoryview(data).cast("Q")
    return {
        "name": pin.name,
        "id": words[1],
        "tag": data[8:16].hex(),
        "jited_bytes": words[4],
        "translated_bytes": words[5],
        "run_time_ns": longs[24],
        "runs": longs[25],
        "verified_instructions": words[54],
    }


def maps(pins: Path) -> list[dict[str, Any]]:
    """Every pinned map by type, sizes of an entry and room."""
    found = []
    for pin in sorted(pins.glob("tcm_*")):
        kind, key, value = libbpf.pinned_layout(pin)
        size = libbpf.pinned_size(pin)
        row = {"name": pin.name, "type": kind, "key_bytes": key, "value_bytes": value}
        found.append({**row, "max_entries": size})
    return found


def network() -> dict[str, list[Any]]:
    """Links, addresses, routes, qdiscs and tc filters of this namespace, as rtnetlink has them."""
    with netlink.opened() as route:
        links = route.get_links()
        found = {
            "links": links,
            "addresses": route.get_addr(),
            "routes": route.get_routes(),
            "qdiscs": route.get_qdiscs(),
        }
        found["filters"] = [
            message
            for link in links
            for parent in (0xFFFFFFF2, 0xFFFFFFF3)  # ingress and egress of clsact
            for message in route.get_filters(index=link["index"], parent=parent)
        ]
        return {name: [plain(row) for row in list(rows)[:MOST]] for name, rows in found.items()}


def plain(message: Any) -> Any:
    """A pyroute2 message as JSON values; attributes by name, statistics and raw headers left out."""
    if isinstance(message, dict):
        row = {k: plain(v) for k, v in message.items() if k not in ("attrs", "header", "event")}
        for name, value in message.get("attrs", ()):
            if "STATS" not in name and name != "IFLA_AF_SPEC":
                row[name] = plain(value)
        return row
    if isinstance(message, (list, tuple)):
        return [plain(item) for item in message]
    if isinstance(message, bytes):
        return message.hex()
    return message if isinstance(message, (str, int, float, bool, type(None))) else str(message)


def kernel() -> dict[str, Any]:
    """Release, the settings and options that matter to us, and the state of the machine's memory."""
    named = os.uname()
    return {
        "release": named.release,
        "version": named.version,
        "machine": named.machine,
        "btf": Path("/sys/kernel/btf/vmlinux").exists(),
        "cpus": os.cpu_count(),
        "settings": {name: _read(Path("/proc/sys") / name).strip() for name in SETTINGS},
        "memory": _read(Path("/proc/meminfo")).splitlines()[:5],
        "load": _read(Path("/proc/loadavg")).strip(),
        "options": list(_options(named.release)),
    }


def _options(release: str) -> Iterator[str]:
    """Lines of the kernel's configuration, where it is to be had."""
    try:
        text = gzip.decompress(Path("/proc/config.gz").read_bytes()).decode()
    except OSError:
        text = _read(Path(f"/boot/config-{release}"))
    return (line for line in text.splitlines() if OPTIONS.match(line.replace("# ", "", 1)))


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""
