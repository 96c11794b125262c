"""Who gets in: agents that are scraped over TLS with certificates, a Prometheus with TLS and users, and one that is
somebody else's.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from tests.certificates import Authority
from tests.fleet.monitor import HOST, PROMETHEUS

pytestmark = pytest.mark.lab
FILES = "/etc/tcmicro-test"
CA, CERTIFICATE, KEY = (f"{FILES}/{name}.pem" for name in ("ca", "certificate", "key"))
SECURE = "https://127.0.0.1:9090"
USER = {"user": "gate", "password": "p@ss:word"}
HASH = "$2b$05$Bd1LKswZSXvoVF3OZjLt.uShz5kZffJfLTCBdm1OIoYGcwq.up1R6"  # of that password
SHOWN = {"ca": CA, "certificate": CERTIFICATE, "key": KEY}
OURS = "/etc/prometheus/tcmicro"
ONE_HOST = ("--limit", f"localhost,{HOST}")


@pytest.fixture(scope="module")
def certificates(monitor, scene, tmp_path_factory):
    """Each host has one for its address; the monitoring host's is good for 127.0.0.1 as well."""
    authority = Authority(tmp_path_factory.mktemp("certificates"), "ca")
    for host in scene.lab.hosts():
        own = authority.issue(host, scene.lab.address(host), "127.0.0.1")
        for path, made in zip((CA, CERTIFICATE, KEY), (authority.certificate, *own), strict=True):
            monitor.send(host, path, Path(made).read_text())
    yield
    for host in scene.lab.hosts():
        scene.lab.ssh(host, f"rm -r {FILES}")


@pytest.fixture(scope="module")
def guarded(play, certificates):
    """The playbook with everything locked."""
    return lambda *words, **more: play(
        *words,
        **{
            "tcmicro_agent_metrics_tls": {
                "certificate": CERTIFICATE,
                "key": KEY,
                "client_ca": CA,
            },
            "monitoring_scrape_tls": SHOWN,
            "monitoring_tls": {"certificate": CERTIFICATE, "key": KEY},
            "monitoring_users": {"gate": HASH},
            "monitoring_asks": {**USER, "ca": CA},
            **more,
        },
    )


@pytest.fixture(scope="module")
def secured(guarded):
    """What two runs came to; the first ends only when every agent was scraped over TLS."""
    found = [guarded(), guarded()]
    for outcome in found:
        assert outcome.code == 0, outcome.failure()
    return found


def test_locked_fleet_is_the_same_after_a_second_run(secured):
    assert secured[0].total("changed") > 0
    assert secured[1].total("changed") == 0
    assert USER["password"] not in secured[0].output


def test_every_agent_is_scraped_over_tls(secured, monitor, scene):
    targets = monitor.ask(f"{SECURE}/api/v1/targets?state=active", **USER, ca=CA)
    found = targets["data"]["activeTargets"]
    assert {target["labels"]["instance"] for target in found} == set(scene.lab.hosts())
    assert {target["health"] for target in found} == {"up"}
    assert all(target["scrapeUrl"].startswith("https://") for target in found)


def test_agents_want_a_certificate_of_the_scraper(secured, monitor, scene):
    address = scene.lab.address("db1")
    assert monitor.status(f"https://{address}:9931/metrics", **SHOWN) == 200
    assert monitor.status(f"https://{address}:9931/metrics", ca=CA) == 0
    assert monitor.status(f"http://{address}:9931/metrics") == 0


def test_prometheus_lets_only_its_users_in_and_only_over_tls(secured, monitor):
    url = f"{SECURE}/api/v1/status/buildinfo"
    assert monitor.status(url, **USER, ca=CA) == 200
    assert monitor.status(url, ca=CA) == 401
    assert monitor.status(url, **{**USER, "password": "wrong"}, ca=CA) == 401
    assert monitor.status(url.replace("https", "http"), **USER) == 400


# A server that somebody else runs: it knows nothing of us.
THEIRS = {
    "global": {"scrape_interval": "10s", "external_labels": {"owner": "somebody"}},
    "scrape_configs": [
        {"job_name": "own", "static_configs": [{"targets": ["127.0.0.1:9090"]}]},
    ],
}


@pytest.fixture(scope="module")
def theirs(secured, monitor):
    """Write their configuration and let the server read it."""

    def configure(config):
        monitor.send(HOST, "/etc/prometheus/prometheus.yml", yaml.safe_dump(config))
        monitor.do("systemctl restart prometheus")

    monitor.do(f"rm -r {OURS}; systemctl stop prometheus-alertmanager; : > /etc/default/prometheus")
    configure(THEIRS)
    return configure


@pytest.fixture(scope="module")
def registered(theirs, guarded, monitor):
    """By name: refused as it knows nothing of us, taken after what the play asked for was added, and once more."""
    register = {"monitoring_existing": True, "monitoring_url": PROMETHEUS}
    found = {"refused": guarded(*ONE_HOST, **register)}
    job = {
        "job_name": "tcmicro",
        "file_sd_configs": [{"files": [f"{OURS}/targets.json"]}],
        "tls_config": {"ca_file": CA, "cert_file": CERTIFICATE, "key_file": KEY},
    }
    jobs = [*THEIRS["scrape_configs"], job]
    theirs({**THEIRS, "scrape_configs": jobs, "rule_files": [f"{OURS}/rules/*.yml"]})
    found["before"] = monitor.do("sha256sum /etc/prometheus/prometheus.yml")
    found["first"] = guarded(*ONE_HOST, **register)
    found["again"] = guarded(*ONE_HOST, **register)
    return found


def test_server_that_knows_nothing_of_us_is_told_what_to_add(registered):
    refused = registered["refused"]
    assert refused.code != 0
    assert refused.total("changed") == 0
    said = " ".join(refused.output.replace("\\n", " ").split())
    assert "must hold, beside what it has:" in said
    for part in (
        "job_name: tcmicro",
        f"{OURS}/targets.json",
        f"{OURS}/rules/*.yml",
        f"cert_file: {CERTIFICATE}",
    ):
        assert part in said


def test_fleet_is_registered_and_their_configuration_left_alone(registered, monitor, scene, rules):
    for name in ("first", "again"):
        assert registered[name].code == 0, registered[name].failure()
    assert registered["first"].total("changed") > 0
    assert registered["again"].total("changed") == 0
    assert monitor.do("sha256sum /etc/prometheus/prometheus.yml") == registered["before"]
    found = monitor.ask(f"{PROMETHEUS}/api/v1/query?query=up")["data"]["result"]
    up = {row["metric"]["instance"] for row in found if row["metric"]["job"] == "tcmicro"}
    assert up == set(scene.lab.hosts())
    groups = monitor.ask(f"{PROMETHEUS}/api/v1/rules")["data"]["groups"]
    names = {rule["name"] for group in groups for rule in group["rules"]}
    assert {"TcMicroAgentDown", "instance_value:tc_micro_sample:last"} <= names
