"""Files of a web server, by HTTP(S), within a bound of bytes and seconds; and TCP ports, tried. Follows no redirect,
uses no proxy, believes nothing: whoever asked verifies what came.
"""

from __future__ import annotations

import http.client
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import SplitResult, urlsplit

from tcmicro_agent.errors import BundleError, MirrorError
from tcmicro_agent.jsonutil import Reader, read
from tcmicro_agent.policy.evaluate import Address
from tcmicro_agent.version import VERSION

PORTS = {"http": 80, "https": 443}
LONGEST_S = 600
UNCHANGED = "nothing was changed; it is tried again at the next run"


@dataclass(frozen=True)
class Settings:
    """`/etc/tcmicro/pull.json`. `timeout_s` is for each file, from the first packet to the last; `ca_file` holds the
    only certificates that may have signed the server's, without it those that the system trusts."""

    mirror: str
    ca_file: str = ""
    timeout_s: int = 30

    @property
    def url(self) -> SplitResult:
        return urlsplit(self.mirror.rstrip("/"))


@dataclass(frozen=True)
class Ends:
    """Of a connection that this host opened."""

    local: Address
    local_port: int
    remote: Address
    remote_port: int


Look = Callable[[Ends], None]  # at a connection, while it is open


def parse(document: object) -> Settings:
    """Raises BundleError with every fault of the document."""
    return read(document, _read, BundleError)


def _read(doc: Reader) -> Settings:
    found = Settings(
        mirror=doc.get_value("mirror", _url, "http://localhost"),
        ca_file=doc.get_str("ca_file", ""),
        timeout_s=doc.get_int("timeout_s", 1, LONGEST_S, "number of seconds", 30),
    )
    if found.ca_file and found.url.scheme != "https":
        doc.fault("ca_file", "the mirror is not https, so nobody would look at it")
    return found


def _url(text: str) -> str:
    url = urlsplit(text)
    whole = url.scheme in PORTS and url.hostname and text.isprintable() and " " not in text
    if not whole or url.username or url.query or url.fragment or (url.port or 0) < 0:
        raise ValueError(f"{text!r} is not like https://mirror.example.net/tcmicro")
    return text


class Mirror:
    """The web server of the settings."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def fetch(self, path: str, most: int, look: Look = lambda _: None) -> bytes:
        """A file of at most so many bytes, over a new connection. Raises MirrorError."""
        where = f"{self._settings.mirror.rstrip('/')}/{path}"
        url, timeout_s = self._settings.url, self._settings.timeout_s
        try:
            port = url.port or PORTS[url.scheme]
            with connection(url.hostname or "", port, timeout_s) as (plain, ends):
                channel = self._secured(plain) if url.scheme == "https" else plain
                with channel:
                    content = _get(channel, url, f"{url.path}/{path}", most)
                    look(ends)
                return content
        except (OSError, http.client.HTTPException, ValueError) as exc:
            text = str(exc) or type(exc).__name__
            raise MirrorError(f"{where}: {text}", hint=UNCHANGED) from exc

    def _secured(self, plain: socket.socket) -> socket.socket:
        import ssl  # late: takes as long as all the rest where it is not wanted

        trusted = self._settings.ca_file or None
        try:
            context = ssl.create_default_context(cafile=trusted)
        except OSError as exc:
            raise MirrorError(
                f"ca_file {trusted}: no certificates in PEM: {exc}", hint=UNCHANGED
            ) from exc
        return context.wrap_socket(plain, server_hostname=self._settings.url.hostname)


def touch(address: str, port: int, timeout_s: int, look: Look) -> None:
    """A new connection to a port that takes it. Raises MirrorError."""
    try:
        with connection(address, port, timeout_s) as (_, ends):
            look(ends)
    except OSError as exc:
        raise MirrorError(f"tcp {address} port {port}: {exc}") from exc


@contextmanager
def connection(host: str, port: int, timeout_s: int) -> Iterator[tuple[socket.socket, Ends]]:
    """A new one that ends by itself after so many seconds, however slowly its other end speaks."""
    with socket.create_connection((host, port), timeout=timeout_s) as plain, plain.dup() as same:
        timer = threading.Timer(timeout_s, _hang_up, [same])
        timer.daemon = True
        timer.start()
        try:
            yield plain, _ends(plain)
        finally:
            timer.cancel()
            timer.join()


def _hang_up(channel: socket.socket) -> None:
    with suppress(OSError):  # the other end was faster
        channel.shutdown(socket.SHUT_RDWR)


def _get(channel: socket.socket, url: SplitResult, path: str, most: int) -> bytes:
    asked = http.client.HTTPConnection(url.netloc.rpartition("@")[2])
    asked.sock = channel
    headers = {"User-Agent": f"tc-micro/{VERSION}", "Accept-Encoding": "identity"}
    asked.request("GET", path, headers=headers)
    answer = asked.getresponse()
    if answer.status != http.client.OK:
        raise http.client.HTTPException(f"HTTP {answer.status} {answer.reason[:80]}")
    if (answer.length or 0) > most:
        raise http.client.HTTPException(f"{answer.length} bytes, at most {most} are taken")
    content = answer.read(most + 1)
    if len(content) > most:
        raise http.client.HTTPException(f"more than {most} bytes, which is all that is taken")
    if answer.length:
        raise http.client.HTTPException(f"cut short: {answer.length} bytes are missing")
    return content


def _ends(channel: socket.socket) -> Ends:
    local, remote = channel.getsockname(), channel.getpeername()
    return Ends(_address(local[0]), local[1], _address(remote[0]), remote[1])


def _address(text: str) -> Address:
    return ip_address(text.partition("%")[0])
