"""rtnetlink: reading by hand, as the agent does it all the time; changing through pyroute2, which takes more time and
memory than the rest of the agent together.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager
from struct import Struct
from typing import Any

HEADER = Struct("=IHHII")  # struct nlmsghdr: length, type, flags, sequence, port
ATTRIBUTE = Struct("=HH")  # struct nlattr: length, type
ERROR = Struct("=i")
NLM_F_REQUEST, NLM_F_DUMP, NLM_F_DUMP_INTR = 0x1, 0x300, 0x10
NLMSG_ERROR, NLMSG_DONE = 2, 3
TYPE = 0x3FFF  # without the flags for nested and for byte order
RECEIVE_BYTES = 1 << 17
TRIES = 5  # of a dump in whose midst something changed


def dump(kind: int, body: bytes) -> list[bytes]:
    """What the kernel answers to a dump request in the caller's network namespace, without headers. What it refuses is
    an OSError with its errno.
    """
    for _ in range(TRIES):
        found, whole = _dump(kind, body)
        if whole:
            return found
    raise OSError(errno.EINTR, "changed while it was read")


def attributes(data: bytes, start: int = 0) -> dict[int, bytes]:
    """Attributes by their type."""
    found = {}
    while start + ATTRIBUTE.size <= len(data):
        length, kind = ATTRIBUTE.unpack_from(data, start)
        if length < ATTRIBUTE.size:
            break
        found[kind & TYPE] = data[start + ATTRIBUTE.size : start + length]
        start += _aligned(length)
    return found


def attribute(kind: int, content: bytes) -> bytes:
    length = ATTRIBUTE.size + len(content)
    return ATTRIBUTE.pack(length, kind) + content + bytes(_aligned(length) - length)


def text(content: bytes) -> str:
    """A string as attributes hold it."""
    return content.partition(b"\0")[0].decode(errors="replace")


def _dump(kind: int, body: bytes) -> tuple[list[bytes], bool]:
    """Answers, and whether nothing changed meanwhile."""
    request = HEADER.pack(HEADER.size + len(body), kind, NLM_F_REQUEST | NLM_F_DUMP, 1, 0) + body
    route = socket.socket(
        socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE
    )
    found: list[bytes] = []
    whole = True
    with closing(route):
        route.send(request)
        while True:
            for answer, flags, content in _messages(route.recv(RECEIVE_BYTES)):
                whole = whole and not flags & NLM_F_DUMP_INTR
                if answer == NLMSG_DONE:
                    return found, whole
                if answer == NLMSG_ERROR:
                    code = -ERROR.unpack_from(content)[0]
                    raise OSError(code, os.strerror(code))
                found.append(content)


def _messages(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Type, flags and content of each."""
    start = 0
    while start + HEADER.size <= len(data):
        length, kind, flags, _, _ = HEADER.unpack_from(data, start)
        yield kind, flags, data[start + HEADER.size : start + length]
        start += _aligned(max(length, HEADER.size))


def _aligned(length: int) -> int:
    return (length + 3) // 4 * 4


@contextmanager
def opened() -> Iterator[Any]:
    """An IPRoute in the caller's network namespace; what the kernel refuses is an OSError with its errno."""
    from pyroute2 import IPRoute, NetlinkError

    with IPRoute() as route:
        try:
            yield route
        except NetlinkError as exc:
            raise OSError(exc.code, os.strerror(exc.code)) from exc
