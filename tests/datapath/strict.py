"""What is wrong with a frame, in the plainest words: the oracle for what must never pass as a flow.

A header that is judged lies whole inside the packet, as long as the IP header says that packet is; what comes behind
is the sender's padding, and the stack cuts it off.
"""

from __future__ import annotations

FIN, SYN, RST, ACK = 1, 2, 4, 16
TCP, SHORTEST = 6, {6: 20, 17: 8, 132: 8}  # L4 headers we read, at least so long
ICMP = {4: 1, 6: 58}
HOP_BY_HOP, ROUTING, FRAGMENT, AH, DESTINATION = 0, 43, 44, 51, 60
EXTENSIONS = {HOP_BY_HOP, ROUTING, FRAGMENT, AH, DESTINATION}
MOST_EXTENSIONS = 6
VLANS = {0x8100, 0x88A8}


def fault(frame: bytes) -> str:
    """Why a frame is malformed; "" when it is not, or is no IP."""
    at, tags = 12, 0
    while (kind := _word(frame, at)) in VLANS and tags < 2:
        at, tags = at + 4, tags + 1
        if len(frame) < at + 2:
            return "ends within its VLAN tags"
    packet = frame[at + 2 :]
    return {0x0800: ipv4, 0x86DD: ipv6}[kind](packet) if kind in (0x0800, 0x86DD) else ""


def ipv4(packet: bytes) -> str:
    if len(packet) < 20:
        return "no whole IPv4 header"
    head, length = (packet[0] & 15) * 4, _word(packet, 2)
    if packet[0] >> 4 != 4 or head < 20 or not head <= length <= len(packet):
        return "IPv4 header that contradicts itself or its frame"
    fragment = _word(packet, 6)
    if fragment & 0x1FFF:
        return "rewrites a TCP header" if fragment & 0x1FFF == 1 and packet[9] == TCP else ""
    return l4(4, packet[9], packet[head:length])


def ipv6(packet: bytes) -> str:
    length = 40 + _word(packet, 4) if len(packet) >= 40 else 0
    if not 0 < length <= len(packet) or packet[0] >> 4 != 6:
        return "IPv6 header that is not whole or contradicts itself or its frame"
    kind, rest = packet[6], packet[40:length]
    for _ in range(MOST_EXTENSIONS + 1):
        if kind not in EXTENSIONS:
            return l4(6, kind, rest)
        if len(rest) < 8 or len(rest) < (size := _size(kind, rest)):
            return "extension header that is not whole"
        if kind == FRAGMENT and (offset := _word(rest, 2) >> 3):
            return "rewrites a TCP header" if offset == 1 and rest[0] == TCP else ""
        kind, rest = rest[0], rest[size:]
    return "too many extension headers"


def _size(kind: int, header: bytes) -> int:
    if kind == FRAGMENT:
        return 8
    return (header[1] + 2) * 4 if kind == AH else (header[1] + 1) * 8


def l4(version: int, protocol: int, segment: bytes) -> str:
    if protocol == ICMP[version]:
        return "" if len(segment) >= 8 else "no whole ICMP header"
    if len(segment) < SHORTEST.get(protocol, 0):
        return "no whole L4 header"
    return tcp(segment) if protocol == TCP else ""


def tcp(segment: bytes) -> str:
    flags, head = segment[13], (segment[12] >> 4) * 4
    if not 20 <= head <= len(segment):
        return "TCP header that is not whole"
    if flags & SYN and flags & (FIN | RST) or not flags & (SYN | RST | ACK):
        return "TCP flags that no stack sends"
    return ""


def _word(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 2], "big")
