"""The demo's traffic, run on lab hosts (standard library, Python 3.9): serve, ask and stream over TCP.

peer.py serve PORT...          echo what comes in
peer.py ask ADDRESS PORT       one connection, one line: answered | refused | timeout | unreachable
peer.py stream ADDRESS PORT    one connection, numbered blocks until standard input ends; then a JSON summary
"""

from __future__ import annotations

import json
import socket
import socketserver
import sys
import threading
import time
from collections.abc import Callable

BLOCK = 64
PAUSE = 0.02
LONGEST = 900  # seconds a stream may last: 3 kB/s, so at most 3 MB


class Echo(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        while data := self.request.recv(65536):
            self.request.sendall(data)


class Server(socketserver.ThreadingTCPServer):
    address_family = socket.AF_INET6  # both families on one socket
    allow_reuse_address = True
    daemon_threads = True


def serve(*ports: str) -> None:
    servers = [Server(("::", int(port)), Echo) for port in ports]
    threads = [threading.Thread(target=server.serve_forever) for server in servers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def ask(address: str, port: str, timeout: str = "2") -> None:
    try:
        with socket.create_connection((address, int(port)), float(timeout)) as connection:
            connection.sendall(b"ping")
            print("answered" if connection.recv(16) == b"ping" else "closed")
    except socket.timeout:
        print("timeout")
    except ConnectionRefusedError:
        print("refused")
    except OSError:
        print("unreachable")


class Stream:
    """Sends numbered blocks and compares every byte that comes back."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.sent = self.received = self.wrong = 0
        self.longest_gap = 0.0
        self.error = ""
        self.done = threading.Event()

    def send(self) -> None:
        end = time.monotonic() + LONGEST
        try:
            while not self.done.is_set() and time.monotonic() < end:
                self.connection.sendall(b"%0*d" % (BLOCK, self.sent // BLOCK))
                self.sent += BLOCK
                time.sleep(PAUSE)
            self.connection.shutdown(socket.SHUT_WR)
        except OSError as exc:
            self.error = str(exc)

    def receive(self) -> None:
        expected, last = b"", time.monotonic()
        try:
            while data := self.connection.recv(65536):
                self.longest_gap = max(self.longest_gap, time.monotonic() - last)
                last = time.monotonic()
                while len(expected) < len(data):
                    expected += b"%0*d" % (BLOCK, (self.received + len(expected)) // BLOCK)
                self.wrong += sum(a != b for a, b in zip(data, expected))
                self.received += len(data)
                expected = expected[len(data) :]
        except OSError as exc:
            self.error = str(exc)

    def summary(self) -> dict[str, object]:
        return {
            "sent": self.sent,
            "received": self.received,
            "wrong": self.wrong,
            "longest_gap_ms": round(self.longest_gap * 1000),
            "error": self.error,
        }


def stream(address: str, port: str) -> None:
    with socket.create_connection((address, int(port)), 5) as connection:
        connection.settimeout(60)
        print("connected", flush=True)
        flow = Stream(connection)
        threads = [threading.Thread(target=flow.send), threading.Thread(target=flow.receive)]
        for thread in threads:
            thread.start()
        sys.stdin.read()
        flow.done.set()
        for thread in threads:
            thread.join()
    print(json.dumps(flow.summary()))


VERBS: dict[str, Callable[..., None]] = {"serve": serve, "ask": ask, "stream": stream}

if __name__ == "__main__":
    VERBS[sys.argv[1]](*sys.argv[2:])
