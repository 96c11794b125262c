"""TCP sockets of this network namespace, destroyed by sock_diag(7) as `ss -K` does."""

from __future__ import annotations

import errno
import os
import socket
from struct import Struct

from tcmicro_agent.errors import KernelError

NETLINK_SOCK_DIAG = 4
SOCK_DIAG_BY_FAMILY, SOCK_DESTROY = 20, 21
NLM_F_REQUEST, NLM_F_ACK = 1, 4
NLMSG_ERROR = 2
HEADER = Struct("=IHHII")  # struct nlmsghdr
ERROR = Struct("=i")
HEAD = Struct("=BBBBI")  # of struct inet_diag_req_v2, before the id
ID = Struct("=2s2s16s16sI8s")  # struct inet_diag_sockid; the last is its cookie
ANSWER_ID = (
    4  # where struct inet_diag_msg has it: family, state, timer and retransmissions come before
)
TCP_LISTEN = 10
ANY, NOBODY = b"\xff" * 8, bytes(8)  # cookies: of whatever socket, and of none
RECEIVE_BYTES = 1 << 14
MAPPED = bytes(10) + b"\xff\xff"  # how a socket of IPv6 has an address of IPv4


class Sockets:
    """Addresses and ports are bytes as on the wire, as the keys of sessions have them."""

    def __init__(self) -> None:
        kind = socket.SOCK_RAW | socket.SOCK_CLOEXEC
        self._socket = socket.socket(socket.AF_NETLINK, kind, NETLINK_SOCK_DIAG)
        self._socket.settimeout(5)

    def close(self) -> None:
        self._socket.close()

    def can_destroy(self) -> bool:
        """Whether the kernel knows how: asked about a socket that cannot be."""
        nobody = ID.pack(b"\0\x09", b"\0\x09", bytes(16), bytes(16), 0, NOBODY)
        code, _ = self._ask(SOCK_DESTROY, socket.AF_INET, nobody)
        return code not in (errno.EOPNOTSUPP, errno.EINVAL)

    def destroy(self, local: bytes, local_port: bytes, remote: bytes, remote_port: bytes) -> bool:
        """Ends a connection of this host, and tells both ends; False when there is no such socket."""
        if len(local) == 16:
            return self._destroy(socket.AF_INET6, local, local_port, remote, remote_port)
        there = self._destroy(socket.AF_INET, local, local_port, remote, remote_port)
        mapped = MAPPED + local, local_port, MAPPED + remote, remote_port
        return there or self._destroy(socket.AF_INET6, *mapped)

    def _destroy(
        self, family: int, local: bytes, local_port: bytes, remote: bytes, remote_port: bytes
    ) -> bool:
        """By its cookie: where no connection is, the kernel would take the listener for it."""
        addresses = local.ljust(16, b"\0"), remote.ljust(16, b"\0")
        code, found = self._ask(
            SOCK_DIAG_BY_FAMILY, family, ID.pack(local_port, remote_port, *addresses, 0, ANY)
        )
        if code in (errno.ENOENT, errno.EAFNOSUPPORT) or found[1:2] == bytes([TCP_LISTEN]):
            return False
        if not code:
            identity = found[ANSWER_ID : ANSWER_ID + ID.size]
            code, _ = self._ask(SOCK_DESTROY, family, identity)
        if code in (errno.ENOENT, errno.ESTALE):  # it ended meanwhile
            return False
        if code:
            raise KernelError(f"destroy a socket: {os.strerror(code)}")
        return True

    def _ask(self, kind: int, family: int, identity: bytes) -> tuple[int, bytes]:
        """The kernel's answer: an errno, 0 for done, or the struct inet_diag_msg it found."""
        request = HEAD.pack(family, socket.IPPROTO_TCP, 0, 0, 0xFFFFFFFF) + identity
        flags = NLM_F_REQUEST | (NLM_F_ACK if kind == SOCK_DESTROY else 0)
        self._socket.send(HEADER.pack(HEADER.size + len(request), kind, flags, 1, 0) + request)
        answer = self._socket.recv(RECEIVE_BYTES)
        content = answer[HEADER.size :]
        if HEADER.unpack_from(answer)[1] == NLMSG_ERROR:
            return -ERROR.unpack_from(content)[0], b""
        return 0, content
