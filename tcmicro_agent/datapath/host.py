"""What the host is besides its datapath: its memory, its addresses, and whether it routes."""

from __future__ import annotations

import os
import socket
from contextlib import closing
from pathlib import Path

from tcmicro_agent.policy.evaluate import Address

FAMILIES = {"ipv4": 1, "ipv6": 2}  # bits of tcm_settings.forwarding


def memory_bytes() -> int:
    """Physical memory."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def resident_bytes(statm: Path = Path("/proc/self/statm")) -> int:
    """Memory of this process that is in use now."""
    return int(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def start_of(pid: int) -> int | None:
    """When a process started, in clock ticks since boot; with the pid it names the process for good (proc(5))."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    return int(stat.rpartition(")")[2].split()[19])


def tcp_segments(snmp: Path = Path("/proc/net/snmp")) -> dict[str, int]:
    """What TCP of this network namespace sent since it is there, and of that again. Empty where /proc does not say."""
    try:
        rows = [line.split() for line in snmp.read_text().splitlines() if line.startswith("Tcp:")]
        names, values = rows
        counts = dict(zip(names[1:], map(int, values[1:])))
        return {"tcp_segments": counts["OutSegs"], "tcp_retransmits": counts["RetransSegs"]}
    except (OSError, ValueError, KeyError):
        return {}


def forwarding(sysctl: Path = Path("/proc/sys/net")) -> int:
    """Which families any interface forwards: bit 0 IPv4, bit 1 IPv6."""
    found = 0
    for family, bit in FAMILIES.items():
        switches = sysctl.glob(f"{family}/conf/*/forwarding")
        if any(switch.read_text().strip() == "1" for switch in switches):
            found |= bit
    return found


def is_own(address: Address) -> bool:
    """Whether an address is one of this host: a packet to it would come from it. None is sent."""
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    with closing(socket.socket(family, socket.SOCK_DGRAM)) as probe:
        try:
            probe.connect((str(address), 9))
        except OSError:  # no way there, a broadcast address, or no such family here
            return False
        return bool(probe.getsockname()[0] == str(address))
