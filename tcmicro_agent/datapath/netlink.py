"""rtnetlink by the standard library: requests, dumps, attributes. What links and tc filters need, and no more."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from struct import Struct
from types import TracebackType

MESSAGE = Struct("=IHHII")  # struct nlmsghdr: length, type, flags, sequence, port
ATTRIBUTE = Struct("=HH")  # struct nlattr: length, type
ERROR = Struct("=i")
TYPE_MASK = 0x3FFF  # the upper bits of an attribute's type are flags

NLM_F_REQUEST, NLM_F_ACK, NLM_F_DUMP_INTR = 0x1, 0x4, 0x10
NLM_F_REPLACE, NLM_F_EXCL, NLM_F_CREATE, NLM_F_DUMP = 0x100, 0x200, 0x400, 0x300
NLMSG_ERROR, NLMSG_DONE = 2, 3

RECEIVE_BYTES = 1 << 16
ATTEMPTS = 5  # a dump during which something changed is asked for again


class Netlink:
    """A socket of NETLINK_ROUTE in the network namespace of its maker; errors are OSError."""

    def __init__(self, groups: int = 0) -> None:
        self._socket = socket.socket(
            socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE
        )
        self._socket.bind((0, groups))
        self._sequence = 0

    def __enter__(self) -> Netlink:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        self._socket.close()

    def fileno(self) -> int:
        return self._socket.fileno()

    def change(self, kind: int, body: bytes, flags: int = 0) -> None:
        """Asks for a change and waits until it is made."""
        self._send(kind, body, flags | NLM_F_ACK)
        for _ in self._answers():
            pass

    def dump(self, kind: int, body: bytes) -> list[bytes]:
        """The bodies of all objects asked for; asked again where they changed meanwhile and the kernel can tell."""
        found: list[bytes] = []
        for _ in range(ATTEMPTS):
            self._send(kind, body, NLM_F_DUMP)
            answers = list(self._answers())
            found = [content for answer, _, content in answers if answer != NLMSG_DONE]
            if not any(flags & NLM_F_DUMP_INTR for _, flags, _ in answers):
                break
        return found

    def drain(self) -> bool:
        """Reads away what was announced to this socket's groups; whether there was anything, or too much to be kept."""
        told = False
        while True:
            try:
                self._socket.recv(RECEIVE_BYTES, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return told
            except OSError:  # ENOBUFS: announcements were lost
                pass
            told = True

    def _send(self, kind: int, body: bytes, flags: int) -> None:
        self._sequence += 1
        length = MESSAGE.size + len(body)
        head = MESSAGE.pack(length, kind, flags | NLM_F_REQUEST, self._sequence, 0)
        self._socket.send(head + body)

    def _answers(self) -> Iterator[tuple[int, int, bytes]]:
        """(type, flags, body) of each answer to the last request, to the one that the kernel calls the last."""
        while True:
            for kind, flags, sequence, body in _messages(self._socket.recv(RECEIVE_BYTES)):
                if sequence != self._sequence:
                    continue
                if kind in (NLMSG_ERROR, NLMSG_DONE):
                    _raise_for(body)
                yield kind, flags, body
                if kind in (NLMSG_ERROR, NLMSG_DONE):
                    return


def _raise_for(body: bytes) -> None:
    """Both kinds of last message begin with 0 or a negative errno."""
    code = -ERROR.unpack_from(body)[0] if len(body) >= ERROR.size else 0
    if code:
        raise OSError(code, os.strerror(code))


def _messages(data: bytes) -> Iterator[tuple[int, int, int, bytes]]:
    at = 0
    while at + MESSAGE.size <= len(data):
        length, kind, flags, sequence, _ = MESSAGE.unpack_from(data, at)
        if length < MESSAGE.size:
            return
        yield kind, flags, sequence, data[at + MESSAGE.size : at + length]
        at += (length + 3) & ~3


def attributes(data: bytes) -> dict[int, bytes]:
    """Attributes by type; of several of one type the last."""
    found = {}
    at = 0
    while at + ATTRIBUTE.size <= len(data):
        length, kind = ATTRIBUTE.unpack_from(data, at)
        if length < ATTRIBUTE.size:
            break
        found[kind & TYPE_MASK] = data[at + ATTRIBUTE.size : at + length]
        at += (length + 3) & ~3
    return found


def attribute(kind: int, content: bytes) -> bytes:
    padding = bytes(-len(content) % 4)
    return ATTRIBUTE.pack(ATTRIBUTE.size + len(content), kind) + content + padding


def text(value: bytes) -> str:
    """An attribute that holds a C string."""
    return value.split(b"\0", 1)[0].decode(errors="replace")
