"""Prometheus and Alertmanager on a host of the lab, and real conditions that become alerts there."""

from __future__ import annotations

import json
import re
import shlex
import time
from collections import Counter

import pytest

from tools import lab_packages

pytestmark = pytest.mark.lab
MONITOR = "client1"
INVENTORIES = ("-i", "inventories/lab", "-i", "inventories/lab-monitoring")
PACKAGES = ["prometheus", "prometheus-alertmanager", "python3-apt"]
LIMIT_S = 150
FOR = re.compile(r"for: \d+[mhd]$", re.MULTILINE)
UNIT = "tcmicro-agent.service"
SYN_RATE = {"listener": {"above": 20, "below": 5}}

# Against db1, bounded in number and time.
CONNECTS = """
import socket, time
for _ in range(600):
    with socket.socket() as s:
        s.setblocking(False); s.connect_ex(("10.77.2.1", 5432)); time.sleep(0.005)
"""
DATAGRAMS = """
import socket, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for _ in range(3000):
    s.sendto(b"x", ("10.77.2.1", 9)); time.sleep(0.005)
"""


@pytest.fixture(scope="module")
def rules(root, tmp_path_factory):
    """The rules as shipped, but for how long a condition must hold."""
    folder = tmp_path_factory.mktemp("rules")
    for path in (root / "monitoring/rules").glob("*.yml"):
        (folder / path.name).write_text(FOR.sub("for: 1s", path.read_text()))
    return folder


@pytest.fixture(scope="module")
def play(journey, rules, root):
    """The playbook over a fleet that has its policies; afterwards agents are as they were and nothing listens."""
    faults = [result.fault for result in journey.reach(4) if result.fault]
    assert not faults, faults[0]
    lab_packages.install(root, MONITOR, PACKAGES)
    scene = journey.scene
    given = json.dumps({"monitoring_rules": str(rules), "tcmicro_agent_syn_rate": SYN_RATE})
    yield lambda *words: scene.plays.run("monitoring", *INVENTORIES, "-e", given, *words)
    scene.lab.ssh(MONITOR, "systemctl disable --now prometheus prometheus-alertmanager")
    running = scene.lab.agent(MONITOR, "status")["agent"]["release"]
    outcome = scene.plays.run("deploy", "-e", f"tcmicro_agent_release={running}")
    assert outcome.code == 0, outcome.failure()


@pytest.fixture(scope="module")
def monitored(play):
    """By name what each run of the playbook came to: a rehearsal, the first, and once more."""
    found = {"rehearsal": play("--check", "--diff"), "first": play(), "again": play()}
    for name, outcome in found.items():
        assert outcome.code == 0, f"{name}: {outcome.failure()}"
    return found


@pytest.fixture(scope="module")
def ask(journey):
    """The answer of a server on the monitoring host, which listens there alone."""

    def get(port, path):
        url = f"http://127.0.0.1:{port}{path}"
        code = f"import urllib.request as u; print(u.urlopen({url!r}, timeout=10).read().decode())"
        reply = journey.scene.lab.ssh(MONITOR, f"python3 -c {shlex.quote(code)}")
        assert reply.ok, reply.err
        return json.loads(reply.out)

    return get


@pytest.fixture(scope="module")
def alerts(ask):
    """Pairs of alert and host that Alertmanager has."""
    return lambda: {
        (alert["labels"]["alertname"], alert["labels"].get("instance", ""))
        for alert in ask(9093, "/api/v2/alerts")
    }


def until(holds, says):
    end = time.monotonic() + LIMIT_S
    while not holds():
        assert time.monotonic() < end, says()
        time.sleep(2)


def test_rehearsal_shows_what_would_change_and_changes_nothing(monitored):
    assert monitored["rehearsal"].total("changed") > 0
    assert "+inhibit_rules:" in monitored["rehearsal"].output
    assert monitored["first"].total("changed") >= monitored["rehearsal"].total("changed")


def test_second_run_changes_nothing(monitored):
    assert monitored["again"].total("changed") == 0


def test_every_agent_is_scraped_with_its_groups(monitored, ask, scene):
    found = ask(9090, "/api/v1/query?query=up")["data"]["result"]
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


def test_every_rule_is_loaded_and_none_fails(monitored, ask, rules):
    groups = ask(9090, "/api/v1/rules")["data"]["groups"]
    loaded = Counter(rule["type"] for group in groups for rule in group["rules"])
    shipped = "".join(path.read_text() for path in rules.glob("*.yml"))
    wanted = {"alerting": shipped.count("- alert:"), "recording": shipped.count("- record:")}
    assert loaded == wanted
    assert [
        rule["lastError"] for group in groups for rule in group["rules"] if rule.get("lastError")
    ] == []


# What is done on a host, and the alert that it is to become there.
CONDITIONS = (
    ("web1", shlex.join(["python3", "-c", CONNECTS]), ("TcMicroSynFlood", "db1")),
    (MONITOR, shlex.join(["python3", "-c", DATAGRAMS]), ("TcMicroDropRateHigh", "db1")),
    ("web1", f"systemctl stop {UNIT}", ("TcMicroAgentDown", "web1")),
    (
        MONITOR,
        f"echo '{{}}}}' > /etc/tcmicro/agent.json; systemctl reload {UNIT}",
        ("TcMicroConfigRefused", MONITOR),
    ),
    (
        "db1",
        "tc-micro policy add --direction ingress --action deny --protocol udp --dst-port 9999 --ttl 15m",
        ("TcMicroLocalRulesLinger", "db1"),
    ),
)


def test_real_conditions_become_alerts_and_end_with_them(monitored, alerts, scene, play, say):
    caused = {pair for _, _, pair in CONDITIONS}
    assert not caused & alerts(), "something is wrong before anything was done"
    for host, command, _ in CONDITIONS:
        reply = scene.lab.ssh(host, command, timeout=120)
        assert reply.ok, (command, reply.err)
    begun = time.monotonic()
    until(lambda: caused <= alerts(), lambda: f"missing: {caused - alerts()}, there: {alerts()}")
    say(f"{len(caused)} conditions are alerts after {time.monotonic() - begun:.0f} s")
    scene.lab.ssh("web1", f"systemctl start {UNIT}")
    [local] = scene.lab.agent("db1", "policy", "list", "--local")["local"]
    scene.lab.agent("db1", "policy", "delete", local["id"])
    assert play().code == 0  # writes the configuration that the agent takes
    ended = {pair for _, _, pair in CONDITIONS[2:]}
    until(lambda: not ended & alerts(), lambda: f"still there: {ended & alerts()}")


def test_alert_says_where_to_read_on(monitored, ask, root):
    for alert in ask(9093, "/api/v2/alerts"):
        assert (root / alert["annotations"]["runbook_url"]).is_file()
        assert "{{" not in alert["annotations"]["description"]


def test_wrong_variables_are_refused_before_anything_changes(monitored, play):
    outcome = play(
        "-e", "monitoring_retention_time=long", "-e", '{"monitoring_told": {"critical": "x"}}'
    )
    assert outcome.code != 0
    assert outcome.total("changed") == 0
    said = " ".join(outcome.output.split())
    assert "monitoring_retention_time: 'long' is not a duration like 15d" in said
    assert "monitoring_told.critical: no receiver 'x'" in said
