"""Switching a network device's offloads off, as `ethtool -K` does it: one ioctl each."""

from __future__ import annotations

import ctypes
import fcntl
import socket
from struct import Struct

SIOCETHTOOL = 0x8946
# enum in <linux/ethtool.h>
SWITCHES = {"segmentation of TCP": 0x1F, "segmentation": 0x24, "receive": 0x2C}
VALUE = Struct("=II")  # struct ethtool_value: command, data
REQUEST = Struct("@16sP16x")  # struct ifreq: name, pointer


def switch_off(interface: str) -> None:
    """Of a device in this thread's network namespace: it sends and receives packets of its MTU from now on."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        for command in SWITCHES.values():
            value = ctypes.create_string_buffer(VALUE.pack(command, 0), VALUE.size)
            fcntl.ioctl(
                control, SIOCETHTOOL, REQUEST.pack(interface.encode(), ctypes.addressof(value))
            )
