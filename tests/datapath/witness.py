"""Traffic that goes on while something is done to a datapath, and what became of it."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable

from world import PEER, US, Namespace, World

EVERY_S = 0.002
TALK_S = 5.0  # a busy machine may be slow; a packet that was dropped comes again after 0.2 s


class Witness:
    """
    Two live conversations of `us` and `peer`, and an intruder. `talk`: a TCP connection that must answer each time.
    `stream`: numbered datagrams of the peer to a socket that asked for them once, so that only a session lets them in.
    `intruder`: datagrams that no policy allows; none may come in.
    """

    def __init__(self, world: World, port: int) -> None:
        self.lost_talks = self.talks = self.sent = self.intrusions = 0
        self._received: set[int] = set()
        self._quiet, self._stop = threading.Event(), threading.Event()
        self._sockets: list[socket.socket] = []
        self._client = self._connect(world.peer, port)
        self._listener = self._bound(world.us, US)
        self._source = self._bound(world.peer, PEER)
        self._target = self._bound(world.us, US)
        self._intruder = self._bound(world.peer, PEER)
        self.stream_ports = self._listener.getsockname()[1], self._source.getsockname()[1]
        self._listener.sendto(b"go on", self._source.getsockname())
        self._source.recv(16)
        works = {
            self._quiet: (self._talk, self._send, self._intrude),
            self._stop: (self._receive, self._watch),
        }
        self._threads = [
            threading.Thread(target=_repeat, args=(work, until))
            for until, each in works.items()
            for work in each
        ]

    @property
    def missing(self) -> int:
        """Datagrams of the stream that did not arrive."""
        return self.sent - len(self._received)

    def __enter__(self) -> Witness:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._quiet.set()
        time.sleep(0.2)  # for what is under way
        self._stop.set()
        for thread in self._threads:
            thread.join()
        for opened in self._sockets:
            opened.close()

    def _talk(self) -> None:
        self.talks += 1
        try:
            self._client.sendall(b"?")
            self._client.recv(1)
        except OSError:
            self.lost_talks += 1
        time.sleep(EVERY_S)

    def _send(self) -> None:
        self._source.sendto(self.sent.to_bytes(4, "big"), self._listener.getsockname())
        self.sent += 1
        time.sleep(EVERY_S)

    def _receive(self) -> None:
        self._received.add(int.from_bytes(self._listener.recv(4), "big"))

    def _intrude(self) -> None:
        self._intruder.sendto(b"!", self._target.getsockname())
        time.sleep(EVERY_S)

    def _watch(self) -> None:
        self._target.recv(1)
        self.intrusions += 1

    def _connect(self, space: Namespace, port: int) -> socket.socket:
        made = self._keep(space.socket())
        made.connect((US, port))
        made.settimeout(TALK_S)
        return made

    def _bound(self, space: Namespace, address: str) -> socket.socket:
        made = self._keep(space.socket(kind=socket.SOCK_DGRAM))
        made.bind((address, 0))
        made.settimeout(0.05)
        return made

    def _keep(self, made: socket.socket) -> socket.socket:
        self._sockets.append(made)
        return made


def _repeat(work: Callable[[], None], until: threading.Event) -> None:
    while not until.is_set():
        with contextlib.suppress(TimeoutError):
            work()
