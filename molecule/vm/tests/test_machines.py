"""What every machine must be between two steps: enforcing, on the first release, in order since its boot."""

from __future__ import annotations

import json
import time

import pytest

PATIENCE_S = 120
FIRST = "0.1.0"
KERNELS = {"web1": "6.1.", "db1": "6.12.", "client1": "5.10."}


@pytest.fixture
def status(host):
    """The agent's word on itself, once it has settled after a boot."""
    end = time.monotonic() + PATIENCE_S
    while True:
        said = host.run("tc-micro status --json")
        found = json.loads(said.stdout) if said.rc == 0 else {}
        if found.get("agent", {}).get("running") and not found["drift"]:
            return found
        if time.monotonic() > end:
            pytest.fail(f"not settled after {PATIENCE_S} s: {found or said.stderr}")
        time.sleep(2)


def test_machine_has_the_kernel_it_is_there_for(host):
    wanted = KERNELS[host.check_output("hostname")]
    assert host.check_output("uname -r").startswith(wanted)


def test_first_release_runs_and_is_confirmed(host, status):
    assert status["release"] == FIRST
    assert host.file("/opt/tcmicro/current").linked_to == f"/opt/tcmicro/releases/{FIRST}"
    release = json.loads(host.check_output("tc-micro txn show --json"))["release"]
    assert release is None or release["state"] in (
        "confirmed",
        "reverted",
    )  # none: nothing was changed yet


def test_policy_is_committed_on_the_uplink(status):
    assert status["policy"]["state"] == "committed"
    assert status["policy"]["mode"] == "protect"
    assert [port["name"] for port in status["datapath"]["interfaces"]] == ["eth0"]


def test_boot_restored_it_before_the_network(host, status):
    """`tcmicro-boot` has ended before the first address was set; before the first boot with an agent it has not run."""
    words = "systemctl show %s -p %s --value"
    ended = int(host.check_output(words, "tcmicro-boot.service", "ExecMainExitTimestampMonotonic"))
    began = int(
        host.check_output(words, "systemd-networkd.service", "ExecMainStartTimestampMonotonic")
    )
    installed = int(
        host.check_output(words, "tcmicro-agent.service", "ExecMainStartTimestampMonotonic")
    )
    if installed < began:  # it was there when the machine booted
        assert 0 < ended < began


def test_nothing_failed(host):
    failed = host.check_output("systemctl list-units --failed --no-legend --plain")
    assert failed == ""
    errors = host.check_output(
        "journalctl -b -u tcmicro-agent -u tcmicro-boot -p err -o cat --no-pager"
    )
    assert errors == ""


@pytest.mark.parametrize("address", ["10.77.2.1", "fd77::2:1"])
def test_database_is_open_for_web_hosts_alone(host, status, address):
    """`answering` is a service of db1 that takes every connection to 5432; the policy names web hosts."""
    reached = host.run("nc -z -w 5 %s 5432", address).rc == 0
    assert reached is (host.check_output("hostname") in ("web1", "db1"))
