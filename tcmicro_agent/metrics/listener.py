"""/metrics over HTTP or HTTPS, to whom the configuration admits. Every other path says where to look."""

from __future__ import annotations

import socket
import ssl
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from socketserver import TCPServer, ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.registry import Collector

from tcmicro_agent.errors import StoreError
from tcmicro_agent.listening import Listening, Tls

PATIENCE_S = 5.0  # with one client
AT_ONCE = 8  # connections; more are closed
TEXT = ("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
OUTCOMES = ("served", "refused", "failed")
CONFIGURATION = "/etc/tcmicro/agent.json"


class Listener:
    """One server at a time. `requests` counts by what became of them: served, refused (not admitted), failed."""

    def __init__(self, collector: Collector, requests: Counter[str]) -> None:
        requests.update(dict.fromkeys(OUTCOMES, 0))
        self._requests = requests
        self._counting = threading.Lock()
        self._expose = exposition(collector)
        self._server: _Server | None = None
        self._listening: Listening | None = None

    def follow(self, wanted: Listening) -> None:
        """Serves as wanted from here on. Raises StoreError when that cannot be; then it goes on as before. Certificates
        are read again each time, so that new ones hold after a reload."""
        context = _context(wanted.tls) if wanted.tls else None
        before = self._listening
        if before is None or (before.address, before.port) != (wanted.address, wanted.port):
            server = self._bind(wanted)
            self.close()
            self._server = server
            server.admit(wanted, context)
            threading.Thread(target=server.serve_forever, name="metrics", daemon=True).start()
        elif self._server:
            self._server.admit(wanted, context)
        self._listening = wanted

    @property
    def serving(self) -> bool:
        return self._server is not None

    def close(self) -> None:
        if self._server:
            self._server.shutdown()
            self._server.server_close()
        self._server = self._listening = None

    def _bind(self, wanted: Listening) -> _Server:
        kind = _Server6 if ":" in wanted.address else _Server
        try:
            server = make_server(
                wanted.address, wanted.port, self._answer, server_class=kind, handler_class=_Handler
            )
        except OSError as exc:
            raise StoreError(
                f"metrics: cannot listen on {wanted.address} port {wanted.port}: {exc.strerror}",
                hint=f"choose another metrics.port in {CONFIGURATION}",
            ) from exc
        server.count = self._count
        return server

    def _count(self, what: str) -> None:
        with self._counting:
            self._requests[what] += 1

    def _answer(self, environ: dict[str, Any], start_response: Any) -> list[bytes]:
        if environ.get("PATH_INFO") != "/metrics":
            start_response("404 Not Found", [TEXT])
            return [b"tcmicro agent: metrics are at /metrics\n"]
        if environ.get("REQUEST_METHOD") != "GET":
            start_response("405 Method Not Allowed", [("Allow", "GET"), TEXT])
            return [b"tcmicro agent: metrics are read with GET\n"]
        content = self._expose()
        self._count("served")
        start_response("200 OK", [TEXT])
        return [content]


def exposition(collector: Collector) -> Callable[[], bytes]:
    """What a scrape gets, in the text format: one of OpenMetrics could not hold the aliases, whose names are those of
    counters without their ending."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(collector)
    alone = threading.Lock()

    def expose() -> bytes:
        with alone:
            return generate_latest(registry)

    return expose


class _Server(ThreadingMixIn, WSGIServer):
    """A thread per client, so that a silent one holds up nobody; who is not admitted is not even shaken hands with."""

    daemon_threads = True
    block_on_close = False  # a thread ends with its client's patience
    count: Callable[[str], None]

    def __init__(self, *arguments: Any) -> None:
        self._admission: tuple[Listening, ssl.SSLContext | None] = (Listening(), None)
        self._room = threading.Semaphore(AT_ONCE)
        super().__init__(*arguments)

    def admit(self, listening: Listening, context: ssl.SSLContext | None) -> None:
        self._admission = listening, context

    def server_bind(self) -> None:
        """Without asking a name server what this host is called, as the library would."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), self.server_address[1]
        self.setup_environ()

    def verify_request(self, _request: Any, client_address: Any) -> bool:
        admitted = self._admission[0].admits(client_address[0])
        if not admitted:
            self.count("refused")
        return admitted

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        if not self._room.acquire(blocking=False):
            self.count("refused")
            self.shutdown_request(request)
            return
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._room.release()

    def finish_request(self, request: Any, client_address: Any) -> None:
        """The handshake is in the client's own thread, and it has as long as any other client."""
        request.settimeout(PATIENCE_S)
        context = self._admission[1]
        if context is None:
            super().finish_request(request, client_address)
            return
        with context.wrap_socket(request, server_side=True) as secured:
            super().finish_request(secured, client_address)
            with suppress(OSError):
                secured.unwrap()

    def handle_error(self, _request: Any, _client_address: Any) -> None:
        """A client that went away, or spoke no HTTP or TLS, is worth a count and no traceback."""
        self.count("failed")


class _Server6(_Server):
    address_family = socket.AF_INET6


class _Handler(WSGIRequestHandler):
    timeout = PATIENCE_S

    def log_message(self, *_: object) -> None:
        """Scrapes are not worth a log line."""


def _context(tls: Tls) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(tls.certificate, tls.key)
        if tls.client_ca:
            context.load_verify_locations(tls.client_ca)
            context.verify_mode = ssl.CERT_REQUIRED
    except (OSError, ssl.SSLError) as exc:
        files = ", ".join(filter(None, (tls.certificate, tls.key, tls.client_ca)))
        reason = exc.strerror or getattr(exc, "reason", None) or str(exc)
        raise StoreError(
            f"metrics.tls: {files}: {reason}", hint="each is a file in PEM that root may read"
        ) from exc
    return context
