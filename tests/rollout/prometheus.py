"""A real Prometheus with the rules as shipped, that scrapes fake agents: one server for all hosts of a fake fleet.

Intervals are seconds instead of tens of seconds, so that a bake of seconds has samples enough.
"""

from __future__ import annotations

import json
import socket
import subprocess
import threading
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import yaml
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.monitoring import server

from tools.promtool import program

ROOT = Path(__file__).resolve().parents[2]
RULES = ROOT / "monitoring/rules/recording.yml"
RECORDED = "instance_value:tc_micro_sample:last"
LIMIT_S = 90


class Agents:
    """What agents of a fleet would export: each host denies a packet a second, and `denies` more under a change."""

    def __init__(self, fleet, denies):
        outer = self
        self.fleet, self.denies = fleet, denies

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                body = f'tc_micro_sample{{value="denied"}} {outer.denied(self.path[1:])}\n'.encode()
                self.send_response(200)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    def denied(self, host):
        now = time.time()
        begun = (self.fleet.state(host)["transaction"] or {}).get("begun", now)
        return now - 1e9 + (now - begun) * self.denies.get(host, 0)

    def close(self):
        self.http.shutdown()
        self.http.server_close()


class Prometheus:
    """Runs in the block; `kill` ends it before."""

    def __init__(self, fleet, **denies):
        self.fleet, self.folder = fleet, fleet.folder / "prometheus"
        self.agents = Agents(fleet, denies)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"

    def __enter__(self):
        self.folder.mkdir()
        self._configure()
        argv = [
            str(program("prometheus")),
            f"--config.file={self.folder}/prometheus.yml",
            f"--storage.tsdb.path={self.folder}/data",
            f"--web.listen-address=127.0.0.1:{self.port}",
            "--log.level=warn",
        ]
        log = (self.folder / "log").open("w")
        self.process = subprocess.Popen(argv, stdout=log, stderr=log)
        return self

    def __exit__(self, *_):
        self.kill()
        self.agents.close()

    def kill(self):
        self.process.kill()
        self.process.wait()

    def _configure(self):
        rules = RULES.read_text()
        assert "interval: 10s" in rules
        (self.folder / "recording.yml").write_text(rules.replace("interval: 10s", "interval: 1s"))
        place = f"127.0.0.1:{self.agents.http.server_port}"
        targets = [
            {"targets": [place], "labels": {"instance": host, "__metrics_path__": f"/{host}"}}
            for host in self.fleet.hosts
        ]
        (self.folder / "targets.json").write_text(json.dumps(targets))
        config = server.prometheus_config(
            {
                "scrape_interval": "1s",
                "targets": str(self.folder / "targets.json"),
                "rules": str(self.folder / "recording.yml"),
                "alertmanager": "127.0.0.1:1",
            }
        )
        (self.folder / "prometheus.yml").write_text(yaml.safe_dump(config))

    def until_recorded(self, samples):
        """Wait until every host has that many samples."""
        end = time.monotonic() + LIMIT_S
        query = f"{self.url}/api/v1/query?query=count_over_time({RECORDED}[5m])"
        while True:
            assert self.process.poll() is None, (self.folder / "log").read_text()
            assert time.monotonic() < end, "the samples are not recorded"
            try:
                found = json.load(urllib.request.urlopen(query, timeout=5))["data"]["result"]
            except OSError:
                found = []
            counts = [int(series["value"][1]) for series in found]
            if len(counts) == len(self.fleet.hosts) and min(counts) >= samples:
                return
            time.sleep(0.5)
