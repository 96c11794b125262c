"""A host on which a release waits to be confirmed, and whose controller is killed: it goes back by itself."""

from __future__ import annotations

import json
import re
import time

import pytest

from tools.demo.releases import BAD, FIRST, NEXT

pytestmark = pytest.mark.lab

PATIENCE_S = 120
RECORD = "/var/lib/tcmicro/release.json"


@pytest.fixture
def host(reach, scene):
    """A host that runs NEXT, confirmed or gone back to, and goes on to do so afterwards."""
    reach(5)
    name = scene.lab.members("db")[0]
    assert released(scene, name)["state"] in ("confirmed", "reverted")
    assert scene.lab.ssh(name, "readlink /opt/tcmicro/current").out == f"releases/{NEXT}"
    yield name
    assert scene.lab.agent(name, "status")["agent"]["release"] == NEXT
    assert scene.lab.ssh(name, "readlink /opt/tcmicro/current").out == f"releases/{NEXT}"


def released(scene, host):
    """The release transaction as the host wrote it down; empty while it does not answer."""
    reply = scene.lab.ssh(host, f"cat {RECORD}")
    return json.loads(reply.out) if reply.ok else {}


def until(look, wanted):
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        found = look()
        if wanted(found):
            return found
        time.sleep(1)
    raise AssertionError(f"after {PATIENCE_S} s: {found}")


def try_and_die(scene, host, release, within):
    """Switch a host, and kill the controller as soon as the host has done it. Returns the transaction."""
    before = released(scene, host)["id"]
    words = {
        "tcmicro_agent_release": release,
        "tcmicro_agent_change_release": True,
        "tcmicro_agent_confirm": False,
        "tcmicro_agent_confirm_within": within,
    }
    run = scene.plays.start("deploy", "--limit", host, "-e", json.dumps(words))
    try:
        return until(lambda: released(scene, host), lambda found: found.get("id") != before)
    finally:
        run.kill()


def taken_back(scene, host, transaction):
    """How it ended, once the host runs what it ran before."""

    def look():
        status = scene.lab.ssh(host, "tc-micro status --json")
        running = json.loads(status.out)["agent"]["release"] if status.ok else None
        return released(scene, host), running

    def back(found):
        return found[0].get("state") == "reverted" and found[1] == NEXT

    ended, _ = until(look, back)
    assert ended["id"] == transaction["id"]
    return ended


def test_release_that_nobody_confirms_is_taken_back_at_its_deadline(scene, host):
    ended = taken_back(scene, host, try_and_die(scene, host, FIRST, 20))
    assert ended["cause"] == "nobody confirmed it in time"
    assert not scene.lab.ssh(host, "systemctl is-active tcmicro-guard.timer").ok


def test_bad_release_is_taken_back_before_its_deadline(scene, host):
    """By whoever sees it first: what the controller had sent still runs on the host, and so does the guard."""
    ended = taken_back(scene, host, try_and_die(scene, host, BAD, 3600))
    assert ended["version"] == BAD


def test_release_that_begins_to_fail_is_taken_back_before_its_deadline(scene, host):
    transaction = try_and_die(scene, host, FIRST, 3600)
    wound = (
        f"readlink /opt/tcmicro/current | grep -q {FIRST} "
        "&& systemctl kill --kill-who=main --signal=KILL tcmicro-agent"
    )

    def running():
        return scene.lab.agent(host, "status")["agent"]["release"]

    def wounded():
        scene.lab.ssh(host, wound)
        return released(scene, host)

    until(running, lambda release: release == FIRST)
    until(wounded, lambda found: found.get("state") == "reverted")
    cause = taken_back(scene, host, transaction)["cause"]
    # by whoever sees it first, as above
    assert cause in ("its service failed", "it was asked for")


def test_host_that_boots_in_between_is_back_before_its_network(scene, host):
    policy = scene.lab.agent(host, "status")["policy"]["digest"]
    transaction = try_and_die(scene, host, FIRST, 3600)
    scene.lab.ssh(host, "systemctl reboot")
    ended = taken_back(scene, host, transaction)
    assert ended["cause"] == "the host was booted before it was confirmed"
    status = until(lambda: scene.lab.agent(host, "status"), lambda found: not found["drift"])
    assert (status["policy"]["digest"], status["policy"]["state"]) == (policy, "committed")
    shown = scene.lab.ssh(host, "systemctl show tcmicro-boot.service -p Result -p ActiveState").out
    assert sorted(shown.split()) == ["ActiveState=active", "Result=success"]
    since = "systemctl show -p ActiveEnterTimestampMonotonic --value {}"
    units = [since.format(unit) for unit in ("tcmicro-boot.service", "network.target")]
    ready, network = (int(scene.lab.ssh(host, command).out) for command in units)
    assert 0 < ready <= network


@pytest.mark.parametrize(
    "unit", ["tcmicro-agent.service", "tcmicro-boot.service", "tcmicro-guard@boot.service"]
)
def test_services_are_little_exposed(scene, host, unit):
    said = scene.lab.ssh(host, f"systemd-analyze security --no-pager {unit}").out
    found = re.search(r"Overall exposure level for \S+: (\d+\.\d+)", said)
    assert found, said
    assert float(found[1]) <= 3.0
