"""Traffic that goes on until told to stop, and tells what went wrong with it."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from random import Random

from world import Namespace, World, connection

ANSWER_S = 20  # a busy machine is slow, which is not the same as lossy
LARGEST = 20_000


class Talk(threading.Thread):
    """Repeats a round of questions and answers; a round that raises or is answered wrongly is a fault."""

    def __init__(self, name: str, once: Callable[[], bool]) -> None:
        super().__init__(name=name, daemon=True)
        self._once = once
        self._end = threading.Event()
        self.rounds = 0
        self.faults: list[str] = []

    def run(self) -> None:
        while not self._end.is_set() and not self.faults:
            try:
                if not self._once():
                    self.faults.append("another answer than what was sent")
            except OSError as exc:
                self.faults.append(repr(exc))
            self.rounds += 1

    def stop(self) -> None:
        self._end.set()
        self.join()


def stream(client: socket.socket, random: Random) -> bool:
    """A piece of a TCP stream comes back byte for byte."""
    content = random.randbytes(random.randrange(1, LARGEST))
    client.sendall(content)
    back = bytearray()
    while len(back) < len(content) and (data := client.recv(1 << 16)):
        back += data
    return back == content


def datagram(client: socket.socket, random: Random) -> bool:
    content = random.randbytes(random.randrange(1, 1200))
    client.send(content)
    return client.recv(2048) == content


def newcomer(space: Namespace, address: str, port: int, kind: int, random: Random) -> bool:
    """The same on a flow that nobody has seen before."""
    with _client(space, address, port, kind) as client:
        return (stream if kind == socket.SOCK_STREAM else datagram)(client, random)


def _client(space: Namespace, address: str, port: int, kind: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    client = space.socket(family, kind)
    client.settimeout(ANSWER_S)
    client.connect((address, port))
    return client


class Pings:
    """ping(8), and what it says in the end."""

    def __init__(self, space: Namespace, address: str) -> None:
        enter = ["nsenter", f"--net=/run/netns/{space.name}"]
        argv = [*enter, "ping", "-q", "-i", "0.01", "-W", str(ANSWER_S), address]
        self._process = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)

    def stop(self) -> tuple[int, int]:
        """Echo requests sent, answers that came."""
        self._process.send_signal(signal.SIGINT)
        said, _ = self._process.communicate(timeout=ANSWER_S)
        sent, back = re.search(r"(\d+) packets transmitted, (\d+) received", said).groups()
        return int(sent), int(back)


@contextmanager
def load(
    world: World, addresses: tuple[str, ...], port: int, random: Random
) -> Iterator[list[Talk]]:
    """Old and new flows of TCP and UDP from the peer, on every address."""
    with ExitStack() as stack:
        talks = []
        for address in addresses:
            held = stack.enter_context(connection(world.peer, address, port))
            held.settimeout(ANSWER_S)
            asked = stack.enter_context(_client(world.peer, address, port, socket.SOCK_DGRAM))
            rounds: dict[str, Callable[[], bool]] = {
                "stream": lambda held=held: stream(held, random),
                "datagrams": lambda asked=asked: datagram(asked, random),
            }
            for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                rounds[f"new {kind.name}"] = lambda address=address, kind=kind: newcomer(
                    world.peer, address, port, kind, random
                )
            talks += [Talk(f"{name} to {address}", once) for name, once in rounds.items()]
        for talk in talks:
            talk.start()
        try:
            yield talks
        finally:
            for talk in talks:
                talk.stop()
