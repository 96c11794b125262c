"""What converge leaves on a host, looked at without the agent's own word for it where that is possible."""

from __future__ import annotations

import json

import pytest


@pytest.fixture
def status(host):
    return json.loads(host.check_output("tc-micro status --json"))


def test_agent_runs_and_starts_at_boot(host):
    agent = host.service("tcmicro-agent")
    assert agent.is_running
    assert agent.is_enabled


def test_current_release_is_the_one_installed(host, status):
    current = host.file("/opt/tcmicro/current")
    assert current.is_symlink
    manifest = json.loads(host.file("/opt/tcmicro/current/manifest.json").content_string)
    assert current.linked_to == f"/opt/tcmicro/releases/{manifest['version']}"
    assert status["release"] == manifest["version"]


def test_release_is_what_its_manifest_says(host):
    manifest = json.loads(host.file("/opt/tcmicro/current/manifest.json").content_string)
    sums = "".join(f"{digest}  {name}\n" for name, digest in manifest["files"].items())
    checked = host.run("cd /opt/tcmicro/current && printf %%s %s | sha256sum --quiet -c", sums)
    assert checked.rc == 0, checked.stdout


@pytest.mark.parametrize("path", ["/opt/tcmicro", "/etc/tcmicro", "/var/lib/tcmicro"])
def test_folders_belong_to_root_and_only_root_writes(host, path):
    folder = host.file(path)
    assert (folder.user, folder.group) == ("root", "root")
    assert folder.mode & 0o022 == 0


def test_policy_is_committed_on_every_uplink(status):
    assert status["policy"]["state"] == "committed"
    assert status["transaction"] is None or status["transaction"]["state"] == "confirmed"
    assert status["datapath"]["interfaces"]
    assert all(port["ingress"] and port["egress"] for port in status["datapath"]["interfaces"])


def test_metrics_are_served_on_loopback_alone(host):
    assert "tc_micro_packets_total" in host.check_output(
        "python3 -c 'import urllib.request as u; "
        'print(u.urlopen("http://127.0.0.1:9931/metrics", timeout=5).read().decode())\''
    )
    assert host.socket("tcp://127.0.0.1:9931").is_listening
    assert not host.socket("tcp://0.0.0.0:9931").is_listening
