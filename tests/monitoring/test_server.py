"""A real Prometheus under the configuration that the role writes loads every rule, and lets in who is to read it."""

from __future__ import annotations

import json
import socket
import subprocess
import time
import urllib.error
import urllib.request

import pytest
import yaml
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.judge import prometheus
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.monitoring import server

from tests.monitoring.conftest import RULES, rules

LIMIT_S = 60
# of p@ss:word
HASH = "$2b$05$Bd1LKswZSXvoVF3OZjLt.uShz5kZffJfLTCBdm1OIoYGcwq.up1R6"


@pytest.fixture
def running(tool, tmp_path):
    """The address of a server that has one user, gate."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (tmp_path / "targets.json").write_text("[]")
    settings = {
        "scrape_interval": "10s",
        "targets": str(tmp_path / "targets.json"),
        "rules": f"{RULES}/*.yml",
        "alertmanager": "127.0.0.1:1",
    }
    (tmp_path / "prometheus.yml").write_text(yaml.safe_dump(server.prometheus_config(settings)))
    (tmp_path / "web.yml").write_text(yaml.safe_dump(server.web_config({}, {"gate": HASH})))
    command = {
        "address": "127.0.0.1",
        "port": port,
        "retention_time": "1d",
        "retention_size": "1GB",
        "web": str(tmp_path / "web.yml"),
    }
    argv = [tool("prometheus"), f"--config.file={tmp_path}/prometheus.yml"]
    argv += [f"--storage.tsdb.path={tmp_path}/data", *server.arguments(command).split()]
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen([str(word) for word in argv], stdout=log, stderr=log)
    yield f"127.0.0.1:{port}", process, tmp_path / "log"
    process.kill()
    process.wait()


def ask(place, path):
    """Waits for a server that starts."""
    end = time.monotonic() + LIMIT_S
    while True:
        try:
            request = prometheus._request(f"http://gate:p%40ss%3Aword@{place}{path}")
            with urllib.request.urlopen(request, timeout=5) as reply:
                return json.load(reply)
        except (urllib.error.URLError, OSError):
            assert time.monotonic() < end
            time.sleep(0.2)


def test_server_takes_all_of_it_and_lets_only_its_users_in(running):
    place, process, log = running
    groups = ask(place, "/api/v1/rules")["data"]["groups"]
    assert process.poll() is None, log.read_text()
    assert sum(len(group["rules"]) for group in groups) == len(rules())
    with pytest.raises(prometheus.PrometheusError, match="401"):
        prometheus.query(f"http://{place}", ["denied"], 0, 60)
    with pytest.raises(prometheus.PrometheusError, match="401") as caught:
        prometheus.query(f"http://gate:wrong@{place}", ["denied"], 0, 60)
    assert "wrong" not in str(caught.value)
    with pytest.raises(prometheus.PrometheusError, match="it has no series"):
        prometheus.query(f"http://gate:p%40ss%3Aword@{place}", ["denied"], 0, 60)
