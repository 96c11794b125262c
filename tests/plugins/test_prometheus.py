"""Numbers from a Prometheus server: a real one over HTTP, that answers as it should and as it should not."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import parse_qs, urlsplit

import pytest
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.judge import prometheus
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.judge.judge import judge, reasons
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.judge.lattice import Outcome

from tests.plugins.recorded import BAKE_S, BEFORE_S, evidence, samples, shipped

GATES = shipped()
NOW = 1_800_000_000.0
START = NOW - BEFORE_S - BAKE_S  # when the hosts' own clocks were 0


class Server:
    """Answers queries for ranges from what `hosts` recorded, by the names in `broken` with something else."""

    def __init__(self, hosts):
        self.hosts = hosts
        self.broken = None
        self.asked = []
        self.headers = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                outer.headers.append(self.headers)
                status, body = outer.answer(self.path)
                self.send_response(status)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def answer(self, path):
        asked = {key: value[0] for key, value in parse_qs(urlsplit(path).query).items()}
        self.asked.append((urlsplit(path).path, asked))
        if self.broken:
            return self.broken
        name = asked["query"].split('"')[1]
        result = [
            {
                "metric": {
                    "__name__": "instance_value:tc_micro_sample:last",
                    "value": name,
                    "instance": f"{host}:9931",
                },
                "values": [
                    [START + row["t"], str(row["values"][name])]
                    for row in rows
                    if name in row["values"]
                ],
            }
            for host, rows in self.hosts.items()
        ]
        body = {"status": "success", "data": {"resultType": "matrix", "result": result}}
        return 200, json.dumps(body).encode()

    def close(self):
        self._server.shutdown()
        self._server.server_close()


def rows(factors=None):
    return samples(0, BEFORE_S + BAKE_S, factors)["samples"]


@pytest.fixture
def server():
    denied = {"denied_ingress": 3.0, "denied_egress": 3.0}
    wave = {f"10.0.0.{n}": rows(denied) for n in range(5)}
    found = Server({**wave, **{f"k{n}": rows({"denied_ingress": 1 + n / 200}) for n in range(20)}})
    yield found
    found.close()


def case():
    """Looks whose own samples are empty: what is found must come from the server."""
    found = evidence(addresses={f"c{n}": (f"10.0.0.{n}",) for n in range(5)})
    for look in (*found.before.values(), *found.after.values()):
        look["samples"]["samples"] = []
    return found


def judged(url):
    return judge(prometheus.with_samples(case(), GATES, url, NOW), GATES)


def test_what_the_server_has_is_judged(server):
    found = judged(server.url)
    assert {f.metric for f in found.findings if f.host is None} == {"denied packets"}
    assert found.outcome is Outcome.FAIL


def test_range_covers_the_time_before_and_the_bake(server):
    judged(server.url)
    path, asked = server.asked[0]
    assert path == "/api/v1/query"
    assert float(asked["time"]) == NOW
    names = {asked["query"].partition("[")[0] for _, asked in server.asked}
    assert 'instance_value:tc_micro_sample:last{value="denied_ingress"}' in names
    length = int(asked["query"].partition("[")[2].removesuffix("s]"))
    assert NOW - length <= START
    assert not any('unanswered"' in name or "allow_to_deny" in name for name in names)


@pytest.mark.parametrize(
    ("broken", "says"),
    [
        ((500, b"boom"), "HTTP Error 500"),
        ((200, b"not json"), "Expecting value"),
        ((200, b'{"status": "error", "error": "query timed out"}'), "query timed out"),
        ((200, b'{"status": "success", "data": {}}'), "not a range of samples"),
        (
            (200, b'{"status": "success", "data": {"result": [{"metric": {}, "values": []}]}}'),
            "not a range",
        ),
        ((200, b"[]"), "no object"),
    ],
)
def test_server_that_fails_is_an_error_and_no_pass(server, broken, says):
    server.broken = broken
    found = judged(server.url)
    assert found.outcome is Outcome.ERROR
    assert says in reasons(found)[0]


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "file:///etc/passwd", "nonsense"])
def test_no_server_is_an_error(url):
    assert judged(url).outcome is Outcome.ERROR


def test_password_of_the_address_is_not_shown():
    found = judged("http://judge:secret@127.0.0.1:1/")
    assert "secret" not in reasons(found)[0]


def test_password_of_the_address_is_sent_and_no_part_of_the_host(server):
    judged(server.url.replace("://", "://gate:p%40ss@"))
    assert {headers["Authorization"] for headers in server.headers} == {"Basic Z2F0ZTpwQHNz"}


def test_server_without_the_recording_rule_is_an_error_and_no_pass(server):
    server.hosts = {}
    found = judged(server.url)
    assert found.outcome is Outcome.ERROR
    assert "instance_value:tc_micro_sample:last" in reasons(found)[0]
