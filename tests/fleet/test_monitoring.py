"""Prometheus and Alertmanager on a host of the lab, dashboards that have data, and samples in a store beside it."""

from __future__ import annotations

import json
import shlex
from collections import Counter
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.certificates import Authority
from tests.fleet import monitor as place
from tests.fleet.monitor import until
from tools.dashboards import queries
from tools.promtool import program

pytestmark = pytest.mark.lab
MONITOR = place.HOST
QUERY = f"{place.PROMETHEUS}/api/v1/query?query="

STORE = "https://127.0.0.1:8428"
STORE_FILES = "/run/tcmicro-test-store"
STORE_WAYS = {"user": "fleet", "password": "p@ss:word", "ca": f"{STORE_FILES}/ca.pem"}


@pytest.fixture(scope="module")
def store(monitor, tmp_path_factory):
    """A VictoriaMetrics on the monitoring host, over TLS and with a password; what Prometheus needs to write there."""
    authority = Authority(tmp_path_factory.mktemp("store"), "ca")
    certificate, key = authority.issue("store")
    files = {"ca": authority.certificate, "cert": certificate, "key": key}
    for name, path in files.items():
        monitor.send(MONITOR, f"{STORE_FILES}/{name}.pem", Path(path).read_text())
    monitor.carry(program("victoria-metrics"), "/usr/local/bin/victoria-metrics")
    flags = {
        "storageDataPath": f"{STORE_FILES}/data",
        "httpListenAddr": "127.0.0.1:8428",
        "httpAuth.username": STORE_WAYS["user"],
        "httpAuth.password": STORE_WAYS["password"],
        "tlsCertFile": f"{STORE_FILES}/cert.pem",
        "tlsKeyFile": f"{STORE_FILES}/key.pem",
    }
    words = ["/usr/local/bin/victoria-metrics", "-tls", *(f"-{k}={v}" for k, v in flags.items())]
    unit = ["systemd-run", "--quiet", "--collect", "--unit=tcmicro-test-store", *words]
    monitor.do(shlex.join(unit))
    yield {
        "url": f"{STORE}/api/v1/write",
        "basic_auth": {"username": STORE_WAYS["user"], "password": STORE_WAYS["password"]},
        "tls_config": {"ca_file": STORE_WAYS["ca"]},
        "queue_config": {"batch_send_deadline": "1s"},
    }
    monitor.do(
        f"systemctl stop tcmicro-test-store; rm -r {STORE_FILES} /usr/local/bin/victoria-metrics"
    )


@pytest.fixture(scope="module")
def configured(play, store):
    """The playbook with that store."""
    return lambda *words: play(*words, monitoring_remote_write=[store])


@pytest.fixture(scope="module")
def monitored(configured):
    """By name what each run of the playbook came to: a rehearsal, the first, and once more."""
    found = {
        "rehearsal": configured("--check", "--diff"),
        "first": configured(),
        "again": configured(),
    }
    for name, outcome in found.items():
        assert outcome.code == 0, f"{name}: {outcome.failure()}"
    return found


def test_rehearsal_shows_what_would_change_and_changes_nothing(monitored):
    assert monitored["rehearsal"].total("changed") > 0
    assert "+      - alert: TcMicroDrift" in monitored["rehearsal"].output
    assert monitored["first"].total("changed") >= monitored["rehearsal"].total("changed")


def test_second_run_changes_nothing(monitored):
    assert monitored["again"].total("changed") == 0


def test_every_agent_is_scraped_with_its_groups(monitored, monitor, scene):
    found = monitor.ask(f"{QUERY}up")["data"]["result"]
    up = {row["metric"]["instance"]: row["value"][1] for row in found}
    assert up == dict.fromkeys(scene.lab.hosts(), "1")
    groups = {row["metric"]["instance"]: row["metric"]["groups"] for row in found}
    assert groups["db1"] == ",db,tcmicro,"
    assert groups[MONITOR] == ",client,monitoring,tcmicro,"


def test_agents_answer_the_monitoring_host_and_nobody_else(monitored, scene):
    address, port = scene.lab.address("db1"), 9931
    fetch = f"import urllib.request as u; u.urlopen('http://{address}:{port}/metrics', timeout=3)"
    assert scene.lab.ssh(MONITOR, f'python3 -c "{fetch}"').ok
    assert not scene.lab.ssh("web1", f'python3 -c "{fetch}"').ok


def test_every_rule_is_loaded_and_none_fails(monitored, monitor, rules):
    groups = monitor.ask(f"{place.PROMETHEUS}/api/v1/rules")["data"]["groups"]
    loaded = Counter(rule["type"] for group in groups for rule in group["rules"])
    shipped = "".join(path.read_text() for path in rules.glob("*.yml"))
    wanted = {"alerting": shipped.count("- alert:"), "recording": shipped.count("- record:")}
    assert loaded == wanted
    assert [
        rule["lastError"] for group in groups for rule in group["rules"] if rule.get("lastError")
    ] == []


# Panels that have nothing to show where all is well, and why; the rest has something on every server.
EMPTY = {
    "policy: Rules that end A": "no rule of the lab has expires",
    "datapath: Time a packet A": "kernel.bpf_stats_enabled is 0 on most machines",
    "datapath: Ports over their SYN limit A": "nobody floods",
    "policy: What the last pull came to A": "no host pulls",
    "policy: Longest without a pull A": "no host pulls",
    "policy: Longest behind their pointer A": "no host pulls",
    "host: mark agent started": "a moment",
    "host: mark policy built": "a moment",
    "fleet: mark agent started": "a moment",
    "policy: mark policy built": "a moment",
    "rollout: mark agent started": "a moment",
    "rollout: mark policy built": "a moment",
}


@pytest.fixture
def panels(root):
    """Every expression of every dashboard as a server gets it, by where it stands."""
    found = {}
    for path in sorted((root / "monitoring/dashboards").glob("*.json")):
        document = json.loads(path.read_text())
        values = {**queries.choices(document), **({"host": "db1"} if path.stem == "host" else {})}
        for name, expr in queries.expressions(document):
            found[f"{path.stem}: {name}"] = queries.filled(expr, values)
    return found


@pytest.fixture
def shown(monitor, panels):
    """By where it stands, the values that the server has for each."""

    def look():
        answers = monitor.answers(QUERY + quote(expr) for expr in panels.values())
        assert {status for status, _ in answers} == {200}
        results = [json.loads(text)["data"]["result"] for _, text in answers]
        return {
            name: [float(row["value"][1]) for row in rows]
            for name, rows in zip(panels, results, strict=True)
        }

    return look


def test_every_panel_of_every_dashboard_has_data(monitored, shown, panels, scene, say):
    assert set(EMPTY) <= set(panels)
    needed = set(panels) - set(EMPTY)

    def without():
        found = shown()
        return sorted(name for name in needed if not any(value == value for value in found[name]))

    until(lambda: not without(), lambda: f"no data: {without()}")
    found = shown()
    assert found["fleet: Agents A"] == [len(scene.lab.hosts())]
    assert found["fleet: Agents down A"] == [0]
    assert found["fleet: Enforcing A"] == [1]
    assert found["fleet: Unprotected A"] == [0]
    assert found["host: Release A"] == [1]
    assert found["fleet: Packets by verdict A"] > [0]
    say(f"{len(needed)} of {len(panels)} queries of dashboards have data")


def test_samples_arrive_in_the_store(monitored, monitor, scene):
    url = f"{STORE}/api/v1/query?query=tc_micro_enforcing"

    def hosts():
        found = monitor.ask(url, **STORE_WAYS)["data"]["result"]
        return {row["metric"]["instance"] for row in found}

    until(lambda: hosts() == set(scene.lab.hosts()), lambda: f"of {hosts()} alone")
    assert monitor.status(url, **{**STORE_WAYS, "password": "wrong"}) == 401


def test_wrong_variables_are_refused_before_anything_changes(monitored, play):
    outcome = play(
        *("--limit", f"localhost,{MONITOR}"),
        monitoring_retention_time="long",
        monitoring_told={"critical": "x"},
        monitoring_remote_write=[{"url": "http://u:secret@store/"}],
    )
    assert outcome.code != 0
    assert outcome.total("changed") == 0
    said = " ".join(outcome.output.split())
    assert "monitoring_retention_time: 'long' is not a duration like 15d" in said
    assert "monitoring_told.critical: no receiver 'x'" in said
    assert "monitoring_remote_write[0].url: holds a name or password" in said
    assert "secret" not in said
