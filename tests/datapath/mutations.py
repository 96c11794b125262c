"""Frames nobody should send: random bytes, valid packets with something wrong, ends at every length, odd chains."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from ipaddress import IPv4Address, IPv6Address
from random import Random

import packets as p

US4, PEER4 = IPv4Address("10.0.0.1"), IPv4Address("10.0.0.2")
US6, PEER6 = IPv6Address("fd00::1"), IPv6Address("fd00::2")
IPV4, IPV6 = 0x0800, 0x86DD
ETHERTYPES = (IPV4, IPV6, 0x8100, 0x88A8, 0x0806)
EXTENSIONS = (0, 43, 44, 51, 60, 135)
ODD_BYTES = (0, 1, 4, 5, 6, 7, 8, 15, 17, 20, 40, 44, 58, 60, 127, 128, 255)
LONGEST = 1500


def payload(random: Random) -> tuple[int, bytes]:
    """A protocol and a valid L4 packet of it; ICMP as IPv4 numbers it."""
    sport, dport = random.randrange(65536), random.choice((22, 53, 80, 443, 5432, 65535))
    data = random.randbytes(random.randrange(40))
    flags = random.choice((p.SYN, p.SYN | p.ACK, p.ACK, p.FIN | p.ACK, p.RST))
    return random.choice(
        (
            (p.TCP, p.tcp(sport, dport, flags, data)),
            (p.UDP, p.udp(sport, dport, data)),
            (p.SCTP, p.sctp(sport, dport) + data),
            (p.ICMP, p.icmp(random.choice((0, 8, 13)), ident=sport, payload=data)),
            (random.choice((2, 47, 50, 89)), data),
        )
    )


def valid4(random: Random) -> bytes:
    protocol, content = payload(random)
    if random.random() < 0.1:
        inner = p.ipv4(PEER4, US4, p.UDP, p.udp(53, 53, b"x"))
        protocol, content = p.ICMP, p.icmp(random.choice((3, 11, 12)), payload=inner)
    options = bytes([1] * 4 * random.choice((0, 0, 0, 1, 10)))
    frag = random.choice((0, 0, 0, 0x4000, 0x2000, 0x2001, 1, 3, 0x1FFF))
    packet = p.ipv4(PEER4, US4, protocol, content, options=options, frag=frag)
    return p.ethernet(packet, IPV4, vlans=tuple(range(random.choice((0, 0, 0, 1, 2)))))


def valid6(random: Random) -> bytes:
    protocol, content = payload(random)
    if protocol == p.ICMP:
        kind = random.choice((1, 3, 128, 129, 133, 135, 143))
        protocol, content = p.ICMP6, bytes([kind]) + content[1:]
    chain = tuple(extension(random) for _ in range(random.choice((0, 0, 1, 2, 6, 7))))
    hops = random.choice((1, 64, 255))
    packet = p.ipv6(PEER6, US6, protocol, content, extensions=chain, hops=hops)
    return p.ethernet(packet, IPV6, vlans=tuple(range(random.choice((0, 0, 0, 1, 2)))))


def extension(random: Random) -> tuple[int, bytes]:
    """A header that is as long as it says; a fragment header may say anything."""
    kind = random.choice(EXTENSIONS)
    if kind == 44:
        offset = random.choice((0, 0, 1, 2, 100))
        return kind, struct.pack("!BHI", 0, offset << 3 | random.randrange(2), 7)
    if kind == 51:
        return kind, bytes([4]) + random.randbytes(22)
    size = random.choice((0, 0, 1, 2))
    return kind, bytes([size]) + random.randbytes(size * 8 + 6)


def chain(random: Random) -> bytes:
    """Extension headers whose bytes, lengths and order are left to chance."""
    kinds = [random.choice((*EXTENSIONS, p.TCP, p.UDP, p.ICMP6, 59)) for _ in range(9)]
    body = b"".join(
        bytes([kind, random.choice((0, 0, 0, 1, 2, 200))]) + random.randbytes(6) for kind in kinds
    )
    packet = p.ipv6(PEER6, US6, random.choice(EXTENSIONS), body + payload(random)[1])
    return p.ethernet(packet, IPV6)


def noise(random: Random) -> bytes:
    """Random bytes, most of them behind an ethertype that makes somebody look."""
    content = random.randbytes(random.randrange(120))
    if content and random.random() < 0.7:
        content = bytes([random.choice((0x45, 0x4F, 0x60))]) + content[1:]
    return p.ethernet(content, random.choice((*ETHERTYPES, random.randrange(65536))))


def valid(random: Random) -> bytes:
    return random.choice((valid4, valid6))(random)


def mutant(random: Random) -> bytes:
    """A valid frame after one to four accidents."""
    frame = bytearray(valid(random))
    for _ in range(random.randint(1, 4)):
        random.choice(ACCIDENTS)(frame, random)
    return bytes(frame[:LONGEST])


def _flip_bit(frame: bytearray, random: Random) -> None:
    if len(frame) > 12:
        frame[random.randrange(12, len(frame))] ^= 1 << random.randrange(8)


def _odd_byte(frame: bytearray, random: Random) -> None:
    if len(frame) > 12:
        frame[random.randrange(12, min(len(frame), 80))] = random.choice(ODD_BYTES)


def _wrong_length(frame: bytearray, random: Random) -> None:
    """In the length field of IPv4 (16) or IPv6 (18), by a little or at all."""
    at = random.choice((16, 18))
    if len(frame) > at + 2:
        old = int.from_bytes(frame[at : at + 2], "big")
        new = random.choice((0, old - 1, old + 1, old - 8, random.randrange(65536)))
        frame[at : at + 2] = (new & 0xFFFF).to_bytes(2, "big")


def _cut(frame: bytearray, random: Random) -> None:
    del frame[random.randrange(14, len(frame) + 1) if len(frame) > 14 else 14 :]


def _pad(frame: bytearray, random: Random) -> None:
    frame += random.randbytes(random.randrange(1, 60))


def _lose(frame: bytearray, random: Random) -> None:
    at = random.randrange(len(frame))
    del frame[at : at + random.randrange(1, 9)]


def _insert(frame: bytearray, random: Random) -> None:
    at = random.randrange(14, len(frame) + 1) if len(frame) > 14 else len(frame)
    frame[at:at] = random.randbytes(random.randrange(1, 9))


ACCIDENTS: tuple[Callable[[bytearray, Random], None], ...] = (
    _flip_bit,
    _odd_byte,
    _odd_byte,
    _wrong_length,
    _cut,
    _pad,
    _lose,
    _insert,
)
KINDS: tuple[Callable[[Random], bytes], ...] = (noise, valid, mutant, mutant, mutant, chain)


def frames(random: Random, number: int) -> Iterator[bytes]:
    for _ in range(number):
        yield random.choice(KINDS)(random)


def truncations(frame: bytes) -> Iterator[bytes]:
    """The frame ended at every length, and filled up again with nothing."""
    for length in range(14, len(frame)):
        yield frame[:length]
        yield frame[:length] + bytes(len(frame) - length)


def runnable(frame: bytes) -> bool:
    """Whether a test run takes it: kernels from 6.17 on want a byte of payload and, of IP, the fixed header."""
    kind = int.from_bytes(frame[12:14], "big")
    return len(frame) >= 14 + {IPV4: 20, IPV6: 40}.get(kind, 1)
