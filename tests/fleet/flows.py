"""Flows that must not notice: `python tests/fleet/flows.py CLIENT SERVER ADDRESS PORT CLOSED`.

CLIENT and SERVER are paths of network namespaces. Until its input ends, over 1,000 messages a second each: over one TCP
connection and as datagrams to PORT, which come back, and as datagrams to CLOSED, which must not arrive. Prints
`ready`, then a JSON document.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import socket
import sys
import threading
import time
from collections.abc import Callable

RATE = 1100
STEP_S = 0.005
SETTLE_S = 2.0  # for what is still on its way
MESSAGE = 8  # bytes: its number
ROOM = 1 << 24  # of datagrams that nobody has read yet, so that a busy machine loses none
CLONE_NEWNET = 0x40000000
SO_RCVBUFFORCE = 33


class Flow:
    """What was sent, what arrived, how often a number was not the next one, and what went wrong."""

    def __init__(self) -> None:
        self.sent = self.arrived = self.jumps = 0
        self.fault = ""
        self.longest_gap_s = 0.0
        self._last, self._next = time.monotonic(), 0

    def note(self, number: int) -> None:
        now = time.monotonic()
        self.longest_gap_s, self._last = max(self.longest_gap_s, now - self._last), now
        self.jumps += number != self._next
        self.arrived, self._next = self.arrived + 1, number + 1


class Traffic:
    def __init__(self, client: str, server: str, address: str) -> None:
        self._client, self._server, self._address = client, server, address
        self._end = threading.Event()
        self._senders: list[threading.Thread] = []
        self.flows: dict[str, Flow] = {}
        self._start = time.monotonic()

    def stream(self, name: str, port: int) -> None:
        with within(self._server):
            listener = socket.create_server((self._address, port))
        _background(_echo_stream, listener)
        with within(self._client):
            client = socket.create_connection((self._address, port), timeout=20)
        client.settimeout(None)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._begin(name, client.sendall, lambda flow: _receive_stream(client, flow))

    def datagrams(self, name: str, port: int, *, echoed: bool) -> None:
        with within(self._server):
            server = _datagram_socket()
            server.bind((self._address, port))
        with within(self._client):
            client = _datagram_socket()
            client.connect((self._address, port))
        if echoed:
            _background(_echo_datagrams, server)
        receiver = client if echoed else server
        self._begin(name, client.send, lambda flow: _receive_datagrams(receiver, flow))

    def _begin(
        self, name: str, send: Callable[[bytes], object], receive: Callable[[Flow], None]
    ) -> None:
        flow = self.flows[name] = Flow()
        _background(receive, flow)
        self._senders.append(_background(self._send, flow, send))

    def _send(self, flow: Flow, send: Callable[[bytes], object]) -> None:
        """What is behind is made up for."""
        start = time.monotonic()
        while not self._end.wait(STEP_S):
            due = int((time.monotonic() - start) * RATE)
            while flow.sent < due and not flow.fault:
                try:
                    send(flow.sent.to_bytes(MESSAGE, "big"))
                except OSError as exc:
                    flow.fault = str(exc)
                flow.sent += 1

    def stop(self) -> dict[str, object]:
        self._end.set()
        for sender in self._senders:
            sender.join()
        seconds = time.monotonic() - self._start
        time.sleep(SETTLE_S)
        found = {
            name: {key: value for key, value in vars(flow).items() if key[0] != "_"}
            for name, flow in self.flows.items()
        }
        return {"seconds": seconds, "flows": found}


@contextlib.contextmanager
def within(namespace: str):
    """This thread in a network namespace."""
    libc = ctypes.CDLL(None, use_errno=True)
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    there = os.open(namespace, os.O_RDONLY)
    try:
        assert libc.setns(there, CLONE_NEWNET) == 0
        yield
    finally:
        assert libc.setns(home, CLONE_NEWNET) == 0
        os.close(there)
        os.close(home)


def _datagram_socket() -> socket.socket:
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, ROOM)
    return made


def _background(act: Callable[..., None], *arguments: object) -> threading.Thread:
    thread = threading.Thread(target=act, args=arguments, daemon=True)
    thread.start()
    return thread


def _echo_stream(listener: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection, _ = listener.accept()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while data := connection.recv(1 << 16):
            connection.sendall(data)


def _echo_datagrams(server: socket.socket) -> None:
    while True:
        data, sender = server.recvfrom(64)
        server.sendto(data, sender)


def _receive_stream(client: socket.socket, flow: Flow) -> None:
    waiting = b""
    try:
        while data := client.recv(1 << 16):
            waiting += data
            whole = len(waiting) // MESSAGE * MESSAGE
            for start in range(0, whole, MESSAGE):
                flow.note(int.from_bytes(waiting[start : start + MESSAGE], "big"))
            waiting = waiting[whole:]
        flow.fault = flow.fault or "closed by the other end"
    except OSError as exc:
        flow.fault = str(exc)


def _receive_datagrams(receiver: socket.socket, flow: Flow) -> None:
    while True:
        with contextlib.suppress(ConnectionRefusedError):
            flow.note(int.from_bytes(receiver.recv(64), "big"))


def main(client: str, server: str, address: str, port: str, closed: str) -> None:
    traffic = Traffic(client, server, address)
    traffic.stream("tcp", int(port))
    traffic.datagrams("udp", int(port), echoed=True)
    traffic.datagrams("denied", int(closed), echoed=False)
    print("ready", flush=True)
    sys.stdin.read()
    print(json.dumps(traffic.stop()), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
