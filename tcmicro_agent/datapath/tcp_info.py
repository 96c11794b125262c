"""Round-trip times of the TCP connections of this network namespace, told by sock_diag(7) as `ss -i` has them."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from struct import Struct

from tcmicro_agent.datapath.sockets import (
    ANSWER_ID,
    ERROR,
    HEAD,
    HEADER,
    ID,
    NETLINK_SOCK_DIAG,
    NLM_F_REQUEST,
    NLMSG_ERROR,
    NOBODY,
    SOCK_DIAG_BY_FAMILY,
)
from tcmicro_agent.errors import KernelError

NLM_F_DUMP, NLMSG_DONE = 0x300, 3
INFO = 2  # the attribute INET_DIAG_INFO, a struct tcp_info; asked for by its bit
ESTABLISHED = 1 << 1
MESSAGE_BYTES = 72  # struct inet_diag_msg; its attributes follow
ATTRIBUTE = Struct("=HH")
LAST_SENT, LAST_ACKED, ROUND_TRIP = 44, 56, 68  # in struct tcp_info: ms, ms, us
WORD = Struct("=I")
RECEIVE_BYTES = 1 << 16
MOST = 4096  # connections of a family that are looked at; the kernel has them by a hash
LOCAL4, LOCAL6 = b"\x7f", bytes(15) + b"\x01"
MAPPED = bytes(10) + b"\xff\xff"


def round_trips(within_ms: int, most: int = MOST) -> list[int]:
    """Smoothed round-trip times in microseconds, of connections to other hosts over which something was sent and
    acknowledged in the last `within_ms`. Raises KernelError where the kernel does not tell."""
    found: list[int] = []
    for family in (socket.AF_INET, socket.AF_INET6):
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_SOCK_DIAG) as asked:
            asked.settimeout(5)
            asked.send(_request(family))
            for number, message in enumerate(_messages(asked)):
                if number == most:
                    break  # closing the socket ends the dump
                found += _round_trip(message, within_ms)
    return found


def _request(family: int) -> bytes:
    everybody = ID.pack(bytes(2), bytes(2), bytes(16), bytes(16), 0, NOBODY)
    content = HEAD.pack(family, socket.IPPROTO_TCP, 1 << (INFO - 1), 0, ESTABLISHED) + everybody
    flags = NLM_F_REQUEST | NLM_F_DUMP
    return HEADER.pack(HEADER.size + len(content), SOCK_DIAG_BY_FAMILY, flags, 1, 0) + content


def _messages(asked: socket.socket) -> Iterator[bytes]:
    """The struct inet_diag_msg of each connection, with its attributes."""
    while True:
        answer = asked.recv(RECEIVE_BYTES)
        while answer:
            length, kind = HEADER.unpack_from(answer)[:2]
            if kind == NLMSG_ERROR:
                code = -ERROR.unpack_from(answer, HEADER.size)[0]
                raise KernelError(f"ask for the sockets of TCP: {os.strerror(code)}")
            if kind == NLMSG_DONE:
                return
            yield answer[HEADER.size : length]
            answer = answer[(length + 3) & ~3 :]


def _round_trip(message: bytes, within_ms: int) -> list[int]:
    """That of one connection; none where it says nothing of the network, or nothing new."""
    info = _info(message)
    if _stays_here(message) or len(info) < ROUND_TRIP + WORD.size:
        return []
    idle = max(WORD.unpack_from(info, place)[0] for place in (LAST_SENT, LAST_ACKED))
    round_trip: int = WORD.unpack_from(info, ROUND_TRIP)[0]
    return [round_trip] if idle <= within_ms and round_trip else []


def _info(message: bytes) -> bytes:
    place = MESSAGE_BYTES
    while place + ATTRIBUTE.size <= len(message):
        length, kind = ATTRIBUTE.unpack_from(message, place)
        if kind == INFO:
            return message[place + ATTRIBUTE.size : place + length]
        place += max((length + 3) & ~3, ATTRIBUTE.size)
    return b""


def _stays_here(message: bytes) -> bool:
    """Whether both ends are this host: such packets meet no network."""
    local, remote = ID.unpack_from(message, ANSWER_ID)[2:4]
    narrow = message[0] == socket.AF_INET or remote[:12] == MAPPED
    address = remote[:4] if message[0] == socket.AF_INET else remote[12:]
    loopback = address[:1] == LOCAL4 if narrow else remote == LOCAL6
    return bool(local == remote or loopback)
