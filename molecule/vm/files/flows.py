"""Flows that must not notice a change of release: `flows.py serve`, and `flows.py drive ADDRESS` on another machine.

20 numbered messages a second each over one TCP connection and as datagrams to port 7777, which come back. `drive` tells
systemd when it is connected, ends by SIGTERM and leaves what it saw in /run/flows.json.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import sys
import threading
import time

PORT, MESSAGE = 7777, 8
PAUSE_S, SETTLE_S = 0.05, 20  # emulated machines are slow to answer
REPORT = "/run/flows.json"


class Flow:
    """What was sent, what came back, how often a number was not the next one, and what went wrong."""

    def __init__(self) -> None:
        self.sent = self.arrived = self.jumps = 0
        self.fault = ""

    def note(self, number: int) -> None:
        self.jumps += number != self.arrived
        self.arrived += 1


def send(flow: Flow, write, end: threading.Event) -> None:
    while not end.wait(PAUSE_S) and not flow.fault:
        try:
            write(flow.sent.to_bytes(MESSAGE, "big"))
        except OSError as exc:
            flow.fault = str(exc)
        flow.sent += 1


def receive(flow: Flow, read) -> None:
    try:
        while data := read(MESSAGE):
            flow.note(int.from_bytes(data, "big"))
        flow.fault = flow.fault or "closed by the other end"
    except OSError as exc:
        flow.fault = str(exc)


def drive(address: str) -> None:
    end = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: end.set())
    stream = socket.create_connection((address, PORT), timeout=60)
    stream.settimeout(None)
    datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    datagrams.connect((address, PORT))
    whole = stream.makefile("rb")  # reads a message or nothing
    ends = {"tcp": (stream.sendall, whole.read), "udp": (datagrams.send, datagrams.recv)}
    flows = {name: Flow() for name in ends}
    for name, (write, read) in ends.items():
        threading.Thread(target=send, args=(flows[name], write, end), daemon=True).start()
        threading.Thread(target=receive, args=(flows[name], read), daemon=True).start()
    tell_systemd("READY=1")
    end.wait()
    late = time.monotonic() + SETTLE_S
    while any(f.arrived < f.sent for f in flows.values()) and time.monotonic() < late:
        time.sleep(0.2)
    with open(f"{REPORT}.new", "w") as file:
        json.dump({name: vars(flow) for name, flow in flows.items()}, file)
    os.replace(f"{REPORT}.new", REPORT)


def tell_systemd(word: str) -> None:
    """sd_notify(3)."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.sendto(word.encode(), os.environ["NOTIFY_SOCKET"])


def serve() -> None:
    datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    datagrams.bind(("0.0.0.0", PORT))
    threading.Thread(target=echo_datagrams, args=(datagrams,), daemon=True).start()
    listener = socket.create_server(("0.0.0.0", PORT))
    while True:
        threading.Thread(target=echo_stream, args=(listener.accept()[0],), daemon=True).start()


def echo_stream(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := connection.recv(1 << 16):
            connection.sendall(data)


def echo_datagrams(server: socket.socket) -> None:
    while True:
        data, sender = server.recvfrom(64)
        server.sendto(data, sender)


if __name__ == "__main__":
    drive(sys.argv[2]) if sys.argv[1] == "drive" else serve()
