"""A mirror over TLS: a real server on this machine, certificates of authorities that are trusted and that are not."""

from __future__ import annotations

import http.server
import socket
import ssl
import threading

import pytest

from tcmicro_agent.errors import MirrorError
from tcmicro_agent.mirror import Mirror, Settings
from tests.certificates import Authority

BODY = b"bundle"
PATIENCE_S = 1


class Files(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", str(len(BODY)))
        self.end_headers()
        self.wfile.write(BODY)

    def log_message(self, *_):
        """Says nothing."""


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_):
        """Whoever asked did not like the certificate."""


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("ours"), "ca")


@pytest.fixture(scope="module")
def stranger(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("theirs"), "ca")


@pytest.fixture(scope="module")
def port(authority):
    """Of a server that is 127.0.0.1 by its certificate, and nobody else."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.issue("mirror", "127.0.0.1"))
    with Server(("127.0.0.1", 0), Files) as made:
        made.socket = context.wrap_socket(
            made.socket, server_side=True, do_handshake_on_connect=False
        )
        threading.Thread(target=made.serve_forever, daemon=True).start()
        yield made.server_port
        made.shutdown()


@pytest.fixture
def fetch(port):
    def get(host="127.0.0.1", **settings):
        return Mirror(Settings(f"https://{host}:{port}", timeout_s=PATIENCE_S, **settings)).fetch(
            "x", 100
        )

    return get


def test_file_comes_from_a_server_that_our_authority_vouches_for(fetch, authority):
    assert fetch(ca_file=authority.certificate) == BODY


def test_server_of_another_authority_is_refused(fetch, stranger):
    with pytest.raises(MirrorError, match="certificate verify failed"):
        fetch(ca_file=stranger.certificate)


def test_without_a_file_the_system_alone_is_trusted(fetch):
    with pytest.raises(MirrorError, match="certificate verify failed"):
        fetch()


def test_certificate_must_be_for_that_address(fetch, authority):
    with pytest.raises(MirrorError, match="certificate verify failed.*mismatch"):
        fetch("localhost", ca_file=authority.certificate)


def test_server_that_speaks_no_tls_is_refused(authority):
    with Server(("127.0.0.1", 0), Files) as plain:
        threading.Thread(target=plain.serve_forever, daemon=True).start()
        settings = Settings(
            f"https://127.0.0.1:{plain.server_port}", authority.certificate, PATIENCE_S
        )
        with pytest.raises(MirrorError):
            Mirror(settings).fetch("x", 100)
        plain.shutdown()


def test_server_that_never_shakes_hands_is_left(authority):
    with socket.create_server(("127.0.0.1", 0)) as mute:
        settings = Settings(
            f"https://127.0.0.1:{mute.getsockname()[1]}", authority.certificate, PATIENCE_S
        )
        with pytest.raises(MirrorError):
            Mirror(settings).fetch("x", 100)


@pytest.mark.parametrize("content", [None, "no certificate"])
def test_file_of_authorities_that_cannot_be_read_is_named(fetch, tmp_path, content):
    path = tmp_path / "pull-ca.pem"
    if content:
        path.write_text(content)
    with pytest.raises(MirrorError, match=r"pull-ca\.pem"):
        fetch(ca_file=str(path))
