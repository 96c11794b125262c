"""The main job on a lab of six hosts: the demo's steps one to eight, and a closer look after each."""

from __future__ import annotations

import json

import pytest

from tools.demo.begin import DATABASE
from tools.demo.releases import FIRST, NEXT

pytestmark = pytest.mark.lab


def status_of(host):
    return json.loads(host.check_output("tc-micro status --json"))


def test_lab_boots_real_hosts(reach, scene, host_of):
    assert reach(1)
    for name in scene.lab.hosts():
        host = host_of(name)
        assert host.check_output("hostname") == name
        assert host.service("ssh").is_running
        assert host.file("/proc/1/comm").content_string.strip() == "systemd"


def test_prerequisites_are_reported_for_every_host(reach, scene):
    assert "hosts that cannot run the agent: none" in reach(2)


def test_deploy_installs_and_starts_the_release(reach, scene, host_of):
    reach(3)
    for name in scene.lab.hosts():
        host = host_of(name)
        agent = host.service("tcmicro-agent")
        assert agent.is_running
        assert agent.is_enabled
        assert host.file("/opt/tcmicro/current").linked_to == f"/opt/tcmicro/releases/{FIRST}"
        assert host.file("/opt/tcmicro").user == "root"
        assert host.file("/opt/tcmicro").mode & 0o022 == 0


def test_deploy_keeps_ssh_in_the_failsafe(reach, scene, host_of):
    reach(3)
    config = json.loads(
        host_of(scene.lab.hosts()[0]).file("/etc/tcmicro/agent.json").content_string
    )
    rules = [
        rule for rule in config["failsafe"] if rule["direction"] == "ingress" and rule["port"] == 22
    ]
    assert rules


def test_policy_is_committed_everywhere(reach, scene, host_of):
    reach(4)
    for name in scene.lab.hosts():
        policy = status_of(host_of(name))["policy"]
        assert policy["state"] == "committed"
        assert policy["generation"] >= 1


def test_policy_holds_for_ipv6_too(reach, scene):
    reach(4)
    db, web, client = (scene.lab.members(group)[0] for group in ("db", "web", "client"))
    found = scene.lab.ssh(db, "ip -6 -o addr show scope global | awk '{print $4}'").out.splitlines()
    address = found[0].partition("/")[0]
    assert scene.traffic.ask(web, address, DATABASE) == "answered"
    assert scene.traffic.ask(client, address, DATABASE) == "timeout"


def test_answered_connection_is_a_session(reach, scene):
    reach(4)
    db, web = (scene.lab.members(group)[0] for group in ("db", "web"))
    with scene.traffic.stream(web, scene.lab.address(db), DATABASE) as stream:
        sessions = json.dumps(scene.lab.agent(db, "session", "list"))
    assert scene.lab.address(web) in sessions
    assert stream.flow.intact, str(stream.flow)


def test_rules_carry_counters_and_their_source(reach, scene):
    reach(4)
    rules = scene.lab.agent(scene.lab.members("db")[0], "policy", "list")["rules"]
    assert all(rule["source"] for rule in rules)


def test_metrics_are_served_on_the_host_alone(reach, scene, host_of):
    reach(4)
    name = scene.lab.members("db")[0]
    fetch = "python3 -c 'import urllib.request as u; print(u.urlopen(\"http://127.0.0.1:9931/metrics\").read())'"
    assert "tc_micro_packets_total" in host_of(name).check_output(fetch)
    assert not host_of(name).socket("tcp://0.0.0.0:9931").is_listening


def test_good_release_reaches_every_host(reach, scene, host_of):
    reach(5)
    for name in scene.lab.hosts():
        host = host_of(name)
        assert host.file("/opt/tcmicro/current").linked_to == f"/opt/tcmicro/releases/{NEXT}"
        assert host.file("/opt/tcmicro/previous").linked_to == f"/opt/tcmicro/releases/{FIRST}"


def test_bad_release_leaves_every_host_on_the_good_one(reach, scene, host_of):
    reach(6)
    for name in scene.lab.hosts():
        host = host_of(name)
        assert host.file("/opt/tcmicro/current").linked_to == f"/opt/tcmicro/releases/{NEXT}"
        assert host.service("tcmicro-agent").is_running


def test_lockout_is_taken_back_by_its_deadline(reach, scene):
    assert any("former policy" in line for line in reach(7))


def test_lockout_is_taken_back_without_agent_and_controller(reach, scene):
    evidence = reach(8)
    assert len([line for line in evidence if "former policy" in line]) == 2


def test_fleet_is_whole_after_all_that(reach, scene, host_of):
    reach(8)
    for name in scene.lab.hosts():
        state = status_of(host_of(name))
        assert state["policy"]["state"] == "committed"
        assert state["drift"] == []
