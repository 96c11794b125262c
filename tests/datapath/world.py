"""Two hosts as network namespaces joined by a veth pair, and small real clients and servers in them."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from ctypes import CDLL
from pathlib import Path

from tcmicro_agent.datapath import hooks

CLONE_NEWNET = 0x40000000
WAIT_S = 0.6
US, PEER, STRANGER = "10.9.0.1", "10.9.0.2", "10.9.0.3"
US6, PEER6 = "fd09::1", "fd09::2"


class Namespace:
    """A network namespace; `socket()` makes sockets inside, from a thread that lives there."""

    def __init__(self, name: str) -> None:
        self.name = name
        subprocess.run(["ip", "netns", "add", name], check=True)
        self.ip("link", "set", "lo", "up")
        self._thread = ThreadPoolExecutor(1)
        self._thread.submit(_enter, name).result()

    def ip(self, *arguments: str) -> None:
        subprocess.run(["ip", "-n", self.name, *arguments], check=True)

    def run(self, *argv: str) -> str:
        """Runs a command in the namespace; what it printed."""
        enter = ["nsenter", f"--net=/run/netns/{self.name}"]
        done = subprocess.run([*enter, *argv], capture_output=True, text=True, check=True)
        return done.stdout

    def inside(self, function, *arguments):
        """Calls a function with this namespace as the current one."""
        return self._thread.submit(function, *arguments).result()

    def socket(self, family: int = socket.AF_INET, kind: int = socket.SOCK_STREAM) -> socket.socket:
        made = self.inside(socket.socket, family, kind)
        made.settimeout(WAIT_S)
        return made

    def wire(self) -> socket.socket:
        """Sends whole frames out of eth0, past the stack but not past tc."""
        made = self.inside(socket.socket, socket.AF_PACKET, socket.SOCK_RAW)
        made.bind(("eth0", 0))
        return made

    def frames(self) -> tuple[int, int]:
        """Frames that eth0 received and sent, by its own statistics."""
        [line] = [ln for ln in self.run("cat", "/proc/net/dev").splitlines() if "eth0:" in ln]
        numbers = line.split(":")[1].split()
        return int(numbers[1]), int(numbers[9])

    def close(self) -> None:
        self._thread.shutdown()
        subprocess.run(["ip", "netns", "del", self.name], check=True)


def _enter(name: str) -> None:
    handle = os.open(f"/run/netns/{name}", os.O_RDONLY)
    assert CDLL(None).setns(handle, CLONE_NEWNET) == 0
    os.close(handle)


class World:
    """`us`, where the programs are attached, and `peer`, with a second address as a stranger."""

    def __init__(self) -> None:
        tag = f"tcmt{os.getpid()}"
        self.us, self.peer = Namespace(f"{tag}a"), Namespace(f"{tag}b")
        self.us.ip("link", "add", "eth0", "type", "veth", "peer", "eth0", "netns", self.peer.name)
        for space, addresses in ((self.us, (US, US6)), (self.peer, (PEER, STRANGER, PEER6))):
            for address in addresses:
                plain = [f"{address}/64", "nodad"] if ":" in address else [f"{address}/24"]
                space.ip("addr", "add", *plain, "dev", "eth0")
            space.ip("link", "set", "eth0", "up")
        self._servers: list[socket.socket] = []
        index = self.us.run("cat", "/proc/net/dev_snmp6/eth0").split()[1]
        self.interface = hooks.Interface("eth0", int(index))

    def serve(self, space: Namespace, port: int) -> None:
        """Answers TCP and UDP on a port, both families, with what it is sent."""
        listener = space.socket(socket.AF_INET6)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("::", port))
        listener.listen()
        datagrams = space.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        datagrams.bind(("::", port))
        for server in (listener, datagrams):
            server.settimeout(None)
            self._servers.append(server)
        threading.Thread(target=_accept, args=(listener,), daemon=True).start()
        threading.Thread(target=_answer, args=(datagrams,), daemon=True).start()

    def stop_serving(self) -> None:
        for server in self._servers:
            with contextlib.suppress(OSError):
                server.shutdown(socket.SHUT_RDWR)
            server.close()

    def close(self) -> None:
        self.stop_serving()
        self.us.close()
        self.peer.close()


def _accept(listener: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=_echo, args=(connection,), daemon=True).start()


def _echo(connection: socket.socket) -> None:
    with contextlib.suppress(OSError), connection:
        while data := connection.recv(4096):
            connection.sendall(data)


def _answer(datagrams: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while True:
            data, sender = datagrams.recvfrom(4096)
            if not sender:  # shut down
                return
            datagrams.sendto(data, sender)


@contextlib.contextmanager
def connection(
    space: Namespace, address: str, port: int, *, source: str = ""
) -> Iterator[socket.socket]:
    """A TCP connection; raises OSError when it does not come about."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with space.socket(family) as client:
        if source:
            client.bind((source, 0))
        client.connect((address, port))
        yield client


def talks(client: socket.socket) -> bool:
    """Whether a sent byte comes back."""
    try:
        client.sendall(b"?")
        return client.recv(1) == b"?"
    except OSError:
        return False


def carries(client: socket.socket, content: bytes) -> bool:
    """Whether a lot of bytes come back as they were sent."""
    sender = threading.Thread(target=client.sendall, args=(content,))
    sender.start()
    back = bytearray()
    with contextlib.suppress(OSError):
        while len(back) < len(content) and (data := client.recv(1 << 16)):
            back += data
    sender.join()
    return back == content


def tcp(space: Namespace, address: str, port: int, *, source: str = "") -> bool:
    try:
        with connection(space, address, port, source=source) as client:
            return talks(client)
    except OSError:
        return False


def udp(space: Namespace, address: str, port: int, *, source: str = "") -> bool:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with space.socket(family, socket.SOCK_DGRAM) as client:
        if source:
            client.bind((source, 0))
        client.connect((address, port))
        return talks(client)


def ping(space: Namespace, address: str, *, source: str = "") -> bool:
    origin = ["-I", source] if source else []
    argv = ["ip", "netns", "exec", space.name, "ping", "-c1", "-W1", *origin, address]
    return subprocess.run(argv, capture_output=True, check=False).returncode == 0


def sysfs(space: Namespace, path: Path) -> Path:
    """The namespace's own /sys/class/net, mounted at `path`."""
    argv = ["nsenter", f"--net=/run/netns/{space.name}", "mount", "-t", "sysfs", "sysfs", str(path)]
    subprocess.run(argv, check=True)
    return path / "class/net"
