"""Files of a real web server on this machine, which does not always behave."""

from __future__ import annotations

import http.server
import socket
import threading
import time

import pytest

from tcmicro_agent import mirror
from tcmicro_agent.errors import BundleError, MirrorError
from tcmicro_agent.mirror import Mirror, Settings

BODY = b"x" * 1000
PATIENCE_S = 1


class Server(http.server.BaseHTTPRequestHandler):
    """Answers by the name of the file that is asked for."""

    def do_GET(self):
        getattr(self, self.path.rpartition("/")[2])()

    def log_message(self, *_):
        """Says nothing."""

    def answer(self, code=200, length=None, **headers):
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name, value)
        if length is not None:
            self.send_header("Content-Length", str(length))
        self.end_headers()

    def whole(self):
        self.answer(length=len(BODY))
        self.wfile.write(BODY)

    def without_length(self):
        self.answer()
        self.wfile.write(BODY)

    def cut(self):
        self.answer(length=len(BODY) + 1)
        self.wfile.write(BODY)

    def missing(self):
        self.answer(404, 0)

    def elsewhere(self):
        self.answer(302, 0, Location="/t/whole")

    def silent(self):
        self.server.over.wait(10)

    def drops(self):
        """A byte at a time, each well within what a single read waits."""
        self.answer(length=10_000)
        while not self.server.over.wait(0.1):
            self.wfile.write(b"x")
            self.wfile.flush()


@pytest.fixture
def server():
    class Threaded(http.server.ThreadingHTTPServer):
        daemon_threads = True
        over = threading.Event()

        def handle_error(self, *_):
            """Whoever asked has hung up."""

    with Threaded(("127.0.0.1", 0), Server) as made:
        made.over = threading.Event()
        thread = threading.Thread(target=made.serve_forever, daemon=True)
        thread.start()
        yield made
        made.over.set()
        made.shutdown()


@pytest.fixture
def fetch(server):
    def get(name, most=1000, **look):
        found = Mirror(Settings(f"http://127.0.0.1:{server.server_port}/t/", timeout_s=PATIENCE_S))
        return found.fetch(name, most, **look)

    return get


@pytest.mark.parametrize("name", ["whole", "without_length"])
def test_a_file_comes_whole(fetch, name):
    assert fetch(name) == BODY


@pytest.mark.parametrize(
    ("name", "most", "says"),
    [
        ("whole", 999, "1000 bytes, at most 999 are taken"),
        ("without_length", 999, "more than 999 bytes"),
        ("cut", 2000, "cut short: 1 bytes are missing"),
        ("missing", 999, "HTTP 404"),
        ("elsewhere", 2000, "HTTP 302"),
    ],
)
def test_what_is_not_as_it_should_be_is_refused(fetch, name, most, says):
    with pytest.raises(MirrorError, match=says) as caught:
        fetch(name, most)
    assert f"/t/{name}: " in caught.value.message
    assert "nothing was changed" in caught.value.hint


@pytest.mark.parametrize("name", ["silent", "drops"])
def test_a_server_that_dawdles_is_left(fetch, name):
    """Both would go on for longer than this test is given, and `drops` is never silent for long."""
    with pytest.raises(MirrorError):
        fetch(name, 10_000)


@pytest.fixture
def closed():
    """A port that nobody listens on."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


def test_nobody_there(closed):
    with pytest.raises(MirrorError, match="refused"):
        Mirror(Settings(f"http://127.0.0.1:{closed}")).fetch("x", 10)


def test_the_connection_is_looked_at_while_it_is_open(fetch, server):
    seen = []
    fetch("whole", look=seen.append)
    (ends,) = seen
    assert (str(ends.remote), ends.remote_port) == ("127.0.0.1", server.server_port)
    assert str(ends.local) == "127.0.0.1"
    assert ends.local_port > 0


def test_a_port_is_touched(server, closed):
    seen = []
    mirror.touch("127.0.0.1", server.server_port, PATIENCE_S, seen.append)
    assert seen[0].remote_port == server.server_port
    with pytest.raises(MirrorError, match=f"tcp 127.0.0.1 port {closed}: "):
        mirror.touch("127.0.0.1", closed, PATIENCE_S, seen.append)
    assert len(seen) == 1


def test_threads_end_with_their_connections(fetch):
    fetch("whole")
    deadline = time.monotonic() + 10
    while any(isinstance(t, threading.Timer) for t in threading.enumerate()):
        assert time.monotonic() < deadline


@pytest.mark.parametrize(
    ("document", "says"),
    [
        ({}, "mirror: is missing"),
        ({"mirror": "ftp://m"}, "'ftp://m' is not like https://"),
        ({"mirror": "https://"}, "is not like"),
        ({"mirror": "https://user:secret@m"}, "is not like"),
        ({"mirror": "https://m?x=1"}, "is not like"),
        ({"mirror": "https://m:99999"}, "mirror: "),
        ({"mirror": "http://m", "ca_file": "/x.pem"}, "ca_file: the mirror is not https"),
        ({"mirror": "https://m", "timeout_s": 0}, "timeout_s: 0 is not"),
        ({"mirror": "https://m", "proxy": "x"}, 'unknown key "proxy"'),
    ],
)
def test_settings_that_are_wrong(document, says):
    with pytest.raises(BundleError) as caught:
        mirror.parse(document)
    assert says in caught.value.message


def test_settings_that_are_right():
    found = mirror.parse({"mirror": "https://m:8443/a/", "ca_file": "/x.pem", "timeout_s": 5})
    assert (found.url.hostname, found.url.port, found.url.path) == ("m", 8443, "/a")
