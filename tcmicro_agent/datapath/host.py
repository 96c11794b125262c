"""What the host is besides its datapath: its memory, and whether it routes."""

from __future__ import annotations

import os
from pathlib import Path

FAMILIES = {"ipv4": 1, "ipv6": 2}  # bits of tcm_settings.forwarding


def memory_bytes() -> int:
    """Physical memory."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def forwarding(sysctl: Path = Path("/proc/sys/net")) -> int:
    """Which families any interface forwards: bit 0 IPv4, bit 1 IPv6."""
    found = 0
    for family, bit in FAMILIES.items():
        switches = sysctl.glob(f"{family}/conf/*/forwarding")
        if any(switch.read_text().strip() == "1" for switch in switches):
            found |= bit
    return found
