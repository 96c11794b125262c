"""Every alert there is becomes true on hosts of the lab, reaches Alertmanager, and ends with what caused it."""

from __future__ import annotations

import json
import re
import shutil
import time
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.fleet import monitor as place
from tests.fleet.conditions import by_host, caused, damage, datagrams, operation
from tests.fleet.monitor import until
from tools.demo.releases import FIRST, NEXT

pytestmark = pytest.mark.lab
MONITOR = place.HOST
ALERT = re.compile(r"alert: (\w+)")
STATISTICS = Path("/proc/sys/kernel/bpf_stats_enabled")  # of this machine, and so of every host

BURST = datagrams("10.77.2.2", "[9] * 80000", 0.0002)  # half a minute
GUARD = "/opt/tcmicro/guard/tcmicro-guard"
MANY = 2100  # rules of one host: more than it tells series

CONDITIONS = (*operation.CONDITIONS, *damage.CONDITIONS)

# Left to changes, and to the last test.
OF_CHANGES = {
    ("TcMicroPolicyReverted", "db1"),
    ("TcMicroDenyAfterApply", "db2"),
    ("TcMicroDenySpike", "db2"),
    ("TcMicroDatapathSlow", "db2"),
    ("TcMicroPolicyNotConfirmed", "db2"),
    ("TcMicroSeriesFolded", "db2"),
    ("TcMicroRuleExpiring", "db2"),
    ("TcMicroReleaseNotConfirmed", "client2"),
}
OF_NOBODY = {("TcMicroNoTargets", "")}


@pytest.fixture(scope="module")
def monitored(play):
    outcome = play()
    assert outcome.code == 0, outcome.failure()


@pytest.fixture
def alerts(monitored, monitor):
    """Pairs of alert and host that Alertmanager has."""
    return lambda: {
        (alert["labels"]["alertname"], alert["labels"].get("instance", ""))
        for alert in monitor.ask(f"{place.ALERTMANAGER}/api/v2/alerts")
    }


@pytest.fixture
def seen(alerts, say):
    """Waits until Alertmanager has had all of these, now or before."""
    found = set()

    def look(wanted):
        begun = time.monotonic()

        def had():
            found.update(alerts())
            return wanted <= found

        until(had, lambda: f"missing: {wanted - found}, seen: {found}")
        say(f"{len(wanted)} alerts after {time.monotonic() - begun:.0f} s: {sorted(wanted)}")

    return look


@pytest.fixture
def do(scene):
    def run(host, command):
        reply = scene.lab.ssh(host, command, timeout=120)
        assert reply.ok, (host, command, reply.err)

    return run


def test_every_alert_is_caused_here(root):
    shipped = "".join(path.read_text() for path in (root / "monitoring/rules").glob("*.yml"))
    here = caused(CONDITIONS) | OF_CHANGES | OF_NOBODY
    assert {alert for alert, _ in here} == set(ALERT.findall(shipped))


@pytest.fixture
def doing(do):
    """Conditions come about on several hosts side by side; whatever comes of it they are undone, the last one first."""

    def act(conditions):
        for condition in conditions:
            do(condition.host, condition.command)

    def undo(conditions):
        for condition in reversed(conditions):
            if condition.undo:
                do(condition.host, condition.undo)

    @contextmanager
    def run(conditions):
        with ThreadPoolExecutor() as hosts:
            under_way = [hosts.submit(act, some) for some in by_host(conditions)]
            try:
                yield
            finally:
                wait(under_way)
                list(hosts.map(undo, by_host(conditions)))
        for done in under_way:
            done.result()

    return run


def test_real_conditions_become_alerts_and_end_with_them(alerts, seen, doing):
    wanted = caused(CONDITIONS)
    assert not wanted & alerts(), "something is wrong before anything was done"
    with doing(CONDITIONS):
        seen(wanted)
    ended = caused(one for one in CONDITIONS if one.undo and not one.lingers)
    until(lambda: not ended & alerts(), lambda: f"still there: {ended & alerts()}")


@pytest.fixture
def policies(root, tmp_path):
    """The inventory's, and for databases a lot of rules of which some end tomorrow."""
    found = shutil.copytree(root / "inventories/lab/policies", tmp_path / "policies")
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    for part in range(1, MANY, MANY // 3):  # a file has a bound, too
        ports = [
            {"id": f"port-{n}", "from": [{"groups": ["web"]}], "ports": [f"udp/{n}"]}
            for n in range(part, part + MANY // 3)
        ]
        ports[0]["expires"] = tomorrow.strftime("%Y-%m-%dT%H:%M:%SZ")
        about = {"apiVersion": "tcmicro/v1", "kind": "Policy", "metadata": {"name": f"many-{part}"}}
        default = {"ingress": "deny", "egress": "allow"}
        whom = {"mode": "protect", "applyTo": {"groups": ["db"]}, "default": default}
        (found / f"many-{part}.yml").write_text(
            json.dumps({**about, "spec": {**whom, "ingress": ports}})
        )
    return found


@pytest.fixture
def measured():
    """The kernel measures its programs, and does afterwards as before."""
    before = STATISTICS.read_text()
    STATISTICS.write_text("1")
    yield
    STATISTICS.write_text(before)


@pytest.fixture
def another(scene):
    """A release that the fleet does not run."""
    return FIRST if scene.lab.agent("client2", "status")["agent"]["release"] == NEXT else NEXT


@pytest.fixture
def change(scene):
    """A playbook that must succeed."""

    def run(playbook, host, **variables):
        words = ("--limit", host, "-e", json.dumps(variables))
        outcome = scene.plays.run(playbook, *place.INVENTORIES, *words)
        assert outcome.code == 0, outcome.failure()

    return run


@pytest.mark.usefixtures("measured")
def test_changes_that_wait_or_are_taken_back_become_alerts(
    alerts, seen, do, change, policies, another
):
    release = {"tcmicro_agent_change_release": True, "tcmicro_agent_confirm_within": 600}
    change("policy", "db1", tcmicro_policies=str(policies), tcmicro_policy_lease_s=20)
    change("policy", "db2", tcmicro_policies=str(policies), tcmicro_policy_lease_s=600)
    change(
        "deploy", "client2", tcmicro_agent_release=another, tcmicro_agent_confirm=False, **release
    )
    try:
        do(MONITOR, BURST)
        seen(OF_CHANGES)
    finally:
        do("db2", "tc-micro policy revert")
        do("client2", f"python3 -I {GUARD} revert")
    waiting = {pair for pair in OF_CHANGES if pair[0].endswith("NotConfirmed")}
    until(lambda: not waiting & alerts(), lambda: f"still there: {waiting & alerts()}")


def test_alert_says_where_to_read_on(monitored, monitor, root):
    found = monitor.ask(f"{place.ALERTMANAGER}/api/v2/alerts")
    assert found
    for alert in found:
        assert (root / alert["annotations"]["runbook_url"]).is_file()
        assert "{{" not in alert["annotations"]["description"]


def test_a_server_that_scrapes_nobody_says_so(alerts, seen, do):
    targets = "/etc/prometheus/tcmicro/targets.json"
    do(MONITOR, f"cp -a {targets} {targets}.kept && echo '[]' > {targets}")
    seen(OF_NOBODY)
    do(MONITOR, f"mv {targets}.kept {targets}")
    until(lambda: not OF_NOBODY & alerts(), lambda: "still there")
