"""Real SYNs in a known number, from addresses the sender need not have."""

from __future__ import annotations

import contextlib
import socket
import struct
from collections.abc import Iterable
from ipaddress import ip_address

import packets
from world import Namespace

Call = tuple[str, int, int]  # source, its port, the port called


def call(space: Namespace, target: str, calls: Iterable[Call]) -> None:
    """Sends one SYN per call from a namespace; the addresses are of one family."""
    with contextlib.closing(space.inside(_raw, ip_address(target).version)) as channel:
        for source, port, called in calls:
            channel.sendto(_syn(source, port, target, called), (target, 0))


def _raw(version: int) -> socket.socket:
    family = socket.AF_INET if version == 4 else socket.AF_INET6
    return socket.socket(family, socket.SOCK_RAW, socket.IPPROTO_RAW)


def _syn(source: str, port: int, target: str, called: int) -> bytes:
    """An IP packet with a right checksum, so that the connection is opened in earnest."""
    segment = packets.tcp(port, called)
    ends = ip_address(source).packed + ip_address(target).packed
    whole = ends + struct.pack("!HH", packets.TCP, len(segment)) + segment
    total = sum(struct.unpack(f"!{len(whole) // 2}H", whole))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    segment = segment[:16] + struct.pack("!H", ~total & 0xFFFF) + segment[18:]
    return packets.packet(source, target, packets.TCP, segment)[14:]
