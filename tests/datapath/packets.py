"""Packets as bytes, with the fields a test cares about. Checksums stay zero: nobody on this path looks at them."""

from __future__ import annotations

import struct
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Union

Address = Union[IPv4Address, IPv6Address]
FIN, SYN, RST, ACK = 1, 2, 4, 16
ICMP, TCP, UDP, ICMP6, SCTP = 1, 6, 17, 58, 132
HOP_BY_HOP, FRAGMENT, DESTINATION = 0, 44, 60


def ethernet(payload: bytes, ethertype: int, *, vlans: tuple[int, ...] = ()) -> bytes:
    tags = b"".join(struct.pack("!HH", 0x8100, vlan) for vlan in vlans)
    return bytes(12) + tags + struct.pack("!H", ethertype) + payload


def tcp(sport: int, dport: int, flags: int = SYN, payload: bytes = b"") -> bytes:
    return struct.pack("!HHIIBBHHH", sport, dport, 1, 0, 0x50, flags, 8192, 0, 0) + payload


def udp(sport: int, dport: int, payload: bytes = b"") -> bytes:
    return struct.pack("!HHHH", sport, dport, 8 + len(payload), 0) + payload


def icmp(kind: int, code: int = 0, *, ident: int = 0, payload: bytes = b"") -> bytes:
    return struct.pack("!BBHHH", kind, code, 0, ident, 1) + payload


def ipv4(
    src: Address,
    dst: Address,
    protocol: int,
    payload: bytes,
    *,
    options: bytes = b"",
    frag: int = 0,
) -> bytes:
    head = 20 + len(options)
    fields = (0x40 | head // 4, 0, head + len(payload), 1, frag, 64, protocol, 0)
    return struct.pack("!BBHHHBBH", *fields) + src.packed + dst.packed + options + payload


def ipv6(
    src: Address,
    dst: Address,
    protocol: int,
    payload: bytes,
    *,
    extensions: tuple[tuple[int, bytes], ...] = (),
    hops: int = 64,
) -> bytes:
    """`extensions` are (type, body after the next-header byte) in order."""
    kinds = [kind for kind, _ in extensions] + [protocol]
    chain = b"".join(
        bytes([following]) + body for (_, body), following in zip(extensions, kinds[1:])
    )
    fixed = struct.pack("!IHBB", 6 << 28, len(chain) + len(payload), kinds[0], hops)
    return fixed + src.packed + dst.packed + chain + payload


def packet(src: str, dst: str, protocol: int, payload: bytes) -> bytes:
    """A whole frame, of the family of its addresses."""
    source, dest = ip_address(src), ip_address(dst)
    if source.version == 4:
        return ethernet(ipv4(source, dest, protocol, payload), 0x0800)
    kind = ICMP6 if protocol == ICMP else protocol
    return ethernet(ipv6(source, dest, kind, payload), 0x86DD)


def tcp_packet(src: str, sport: int, dst: str, dport: int, flags: int = SYN) -> bytes:
    return packet(src, dst, TCP, tcp(sport, dport, flags))


def udp_packet(src: str, sport: int, dst: str, dport: int) -> bytes:
    return packet(src, dst, UDP, udp(sport, dport, b"x"))


def echo(src: str, dst: str, ident: int, *, reply: bool = False) -> bytes:
    six = ip_address(src).version == 6
    kind = (129 if reply else 128) if six else (0 if reply else 8)
    return packet(src, dst, ICMP, icmp(kind, ident=ident))


def sctp(sport: int, dport: int) -> bytes:
    """A common header and an empty INIT chunk (RFC 9260)."""
    return struct.pack("!HHII", sport, dport, 0, 0) + struct.pack("!BBH", 1, 0, 4)


def first_packet(src: Address, dst: Address, protocol: int, sport: int, dport: int) -> bytes:
    """What a client sends first, as a whole frame; `sport` tells apart what has no ports. For ICMP `dport` is type << 8
    | code, and 0 a ping.
    """
    if protocol == TCP:
        payload = tcp(sport, dport)
    elif protocol == UDP:
        payload = udp(sport, dport, b"x")
    elif protocol == SCTP:
        payload = sctp(sport, dport)
    elif protocol == ICMP:
        kind, code = divmod(dport or (8 if src.version == 4 else 128) << 8, 256)
        payload = icmp(kind, code, ident=sport)
    else:
        payload = bytes(16)
    if src.version == 4:
        return ethernet(ipv4(src, dst, protocol, payload), 0x0800)
    return ethernet(ipv6(src, dst, ICMP6 if protocol == ICMP else protocol, payload), 0x86DD)
