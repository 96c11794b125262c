"""Where metrics are served and to whom: the configuration, and real sockets on loopback."""

from __future__ import annotations

import socket
import ssl
import threading
import urllib.error
import urllib.request
from collections import Counter
from ipaddress import ip_network
from pathlib import Path

import pytest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from tcmicro_agent import config
from tcmicro_agent.errors import BundleError, StoreError
from tcmicro_agent.listening import Listening, Tls
from tcmicro_agent.metrics.listener import AT_ONCE, Listener
from tests.certificates import Authority

WAIT_S = 10


class One(Collector):
    def collect(self):
        yield GaugeMetricFamily("tc_micro_one", "One", value=1)


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


@pytest.fixture
def requests():
    return Counter()


@pytest.fixture
def listener(requests):
    made = Listener(One(), requests)
    yield made
    made.close()


def get(url: str, context: ssl.SSLContext | None = None) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url, timeout=WAIT_S, context=context) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as exc:
        return exc.code, exc.read().decode()


def fails(url: str, context: ssl.SSLContext | None = None) -> bool:
    """Whether no answer comes at all."""
    try:
        get(url, context)
    except OSError:
        return True
    return False


# --- configuration


def test_everything_is_read():
    document = {
        "address": "::",
        "port": 9000,
        "networks": ["10.0.0.0/8", "fd00::/8"],
        "tls": {"certificate": "/a.pem", "key": "/b.pem", "client_ca": "/c.pem"},
        "aliases": True,
    }
    networks = ip_network("10.0.0.0/8"), ip_network("fd00::/8")
    tls = Tls("/a.pem", "/b.pem", "/c.pem")
    wanted = Listening("::", 9000, networks, tls, aliases=True)
    assert config.parse({"metrics": document}).metrics == wanted


def test_all_faults_come_at_once_and_unknown_keys_with_what_was_meant():
    document = {
        "adress": "::",
        "port": 0,
        "networks": ["10.0.0.1/8"],
        "tls": {"certificate": "a.pem", "keys": "/b"},
        "aliases": "yes",
    }
    with pytest.raises(BundleError) as caught:
        config.parse({"metrics": {**document, "address": "everywhere"}, "modes": 1})
    assert list(caught.value.problems) == [
        'metrics.address: "everywhere" is not an IP address; "0.0.0.0" and "::" are all',
        "metrics.port: 0 is not a port (1-65535)",
        "metrics.networks[0]: 10.0.0.1/8 has host bits set",
        'metrics.tls.certificate: "a.pem" is not an absolute path',
        "metrics.tls.key: is missing",
        'metrics.aliases: "yes" is not true or false',
        'document: unknown key "modes" (did you mean "mode"?)',
        'metrics: unknown key "adress" (did you mean "address"?)',
        'metrics.tls: unknown key "keys" (did you mean "key"?)',
    ]


@pytest.mark.parametrize(
    ("networks", "client", "admitted"),
    [
        ((), "203.0.113.7", True),
        (("10.0.0.0/8",), "10.1.2.3", True),
        (("10.0.0.0/8",), "11.1.2.3", False),
        (("10.0.0.0/8",), "::ffff:10.1.2.3", True),
        (("10.0.0.0/8",), "fd00::1", False),
        (("fe80::/10",), "fe80::1%eth0", True),
        (("::/0",), "10.1.2.3", False),
    ],
)
def test_a_client_is_admitted_by_its_network(networks, client, admitted):
    listening = Listening(networks=tuple(map(ip_network, networks)))
    assert listening.admits(client) is admitted


# --- sockets


def test_metrics_are_at_one_path_and_read_only(listener, requests):
    port = free_port()
    listener.follow(Listening(port=port))
    url = f"http://127.0.0.1:{port}"
    assert get(f"{url}/metrics")[0] == 200
    assert "tc_micro_one 1.0" in get(f"{url}/metrics?x=y")[1]
    assert get(f"{url}/other") == (404, "tcmicro agent: metrics are at /metrics\n")
    with pytest.raises(urllib.error.HTTPError, match="405"):
        urllib.request.urlopen(f"{url}/metrics", data=b"x", timeout=WAIT_S)
    assert requests == {"served": 2, "refused": 0, "failed": 0}


def test_a_client_from_elsewhere_gets_no_byte(listener, requests):
    port = free_port()
    listener.follow(Listening(port=port, networks=(ip_network("127.0.0.2/32"),)))
    with socket.create_connection(("127.0.0.1", port), WAIT_S) as client:
        assert client.recv(1) == b""
    with socket.create_connection(("127.0.0.1", port), WAIT_S, ("127.0.0.2", 0)) as client:
        client.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
        assert client.recv(12) == b"HTTP/1.0 200"
    assert requests["refused"] == 1


def test_both_families_by_one_listener(listener):
    port = free_port()
    listener.follow(Listening("::", port, networks=(ip_network("127.0.0.0/8"),)))
    assert get(f"http://127.0.0.1:{port}/metrics")[0] == 200
    assert fails(f"http://[::1]:{port}/metrics")


def test_silent_clients_hold_up_nobody_until_there_are_too_many(listener, requests):
    port = free_port()
    listener.follow(Listening(port=port))
    silent = [socket.create_connection(("127.0.0.1", port), WAIT_S) for _ in range(AT_ONCE - 1)]
    assert get(f"http://127.0.0.1:{port}/metrics")[0] == 200
    more = [socket.create_connection(("127.0.0.1", port), WAIT_S) for _ in range(2)]
    assert {client.recv(1) for client in more[1:]} == {b""}
    assert requests["refused"] >= 1
    for client in (*silent, *more):
        client.close()


def test_a_taken_port_is_refused_and_the_one_before_goes_on(listener):
    port = free_port()
    listener.follow(Listening(port=port))
    taken = r"cannot listen on 127\.0\.0\.1 port \d+: Address"
    with socket.create_server(("127.0.0.1", 0)) as other, pytest.raises(StoreError, match=taken):
        listener.follow(Listening(port=other.getsockname()[1]))
    assert get(f"http://127.0.0.1:{port}/metrics")[0] == 200


def test_another_port_and_other_clients_are_followed(listener):
    first, second = free_port(), free_port()
    listener.follow(Listening(port=first))
    listener.follow(Listening(port=second))
    assert get(f"http://127.0.0.1:{second}/metrics")[0] == 200
    with pytest.raises(urllib.error.URLError, match="refused"):
        get(f"http://127.0.0.1:{first}/metrics")
    listener.follow(Listening(port=second, networks=(ip_network("10.0.0.0/8"),)))
    assert fails(f"http://127.0.0.1:{second}/metrics")


# --- TLS


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path, "ours")


def trusting(authority: Authority, *identity: str) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=authority.certificate)
    if identity:
        context.load_cert_chain(*identity)
    return context


def test_tls_is_served_and_plain_text_is_not(listener, requests, authority):
    port = free_port()
    listener.follow(Listening(port=port, tls=Tls(*authority.issue("host"))))
    assert get(f"https://127.0.0.1:{port}/metrics", trusting(authority))[0] == 200
    assert fails(f"http://127.0.0.1:{port}/metrics")
    assert requests["served"] == 1


def test_only_clients_of_our_authority_are_served(listener, requests, authority, tmp_path):
    port, url = free_port(), "https://127.0.0.1:{}/metrics"
    tls = Tls(*authority.issue("host"), authority.certificate)
    listener.follow(Listening(port=port, tls=tls))
    scraper = authority.issue("scraper")
    assert get(url.format(port), trusting(authority, *scraper))[0] == 200
    (tmp_path / "other").mkdir()
    stranger = Authority(tmp_path / "other", "theirs").issue("stranger")
    for identity in ((), stranger):
        assert fails(url.format(port), trusting(authority, *identity))
    assert requests["served"] == 1


def test_a_certificate_that_cannot_be_read_is_refused_and_the_one_before_goes_on(
    listener, authority, tmp_path
):
    port = free_port()
    listener.follow(Listening(port=port, tls=Tls(*authority.issue("host"))))
    (tmp_path / "broken.pem").write_text("nothing")
    for name in ("missing.pem", "broken.pem"):
        tls = Tls(str(tmp_path / name), str(tmp_path / "host.key"))
        with pytest.raises(StoreError, match=rf"metrics\.tls: .*{name}"):
            listener.follow(Listening(port=port, tls=tls))
    assert get(f"https://127.0.0.1:{port}/metrics", trusting(authority))[0] == 200


def test_a_new_certificate_in_the_same_file_is_followed(listener, authority, tmp_path):
    port = free_port()
    listening = Listening(port=port, tls=Tls(*authority.issue("host")))
    listener.follow(listening)
    (tmp_path / "new").mkdir()
    successor = Authority(tmp_path / "new", "next")
    for path in map(Path, successor.issue("host")):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    listener.follow(listening)
    assert get(f"https://127.0.0.1:{port}/metrics", trusting(successor))[0] == 200


def test_a_silent_client_in_a_handshake_holds_up_nobody(listener, authority):
    port = free_port()
    listener.follow(Listening(port=port, tls=Tls(*authority.issue("host"))))
    with socket.create_connection(("127.0.0.1", port), WAIT_S):
        assert get(f"https://127.0.0.1:{port}/metrics", trusting(authority))[0] == 200
    names = {thread.name for thread in threading.enumerate()}
    assert "metrics" in names
