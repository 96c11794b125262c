"""The services hold no more rights than they need: judged by systemd itself, where it is there."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
UNITS = ROOT / "tcmicro_agent/units"
PULL = "tcmicro-pull.service"
ELSEWHERE = {PULL: ROOT / "roles/tcmicro_policy/files" / PULL}
EXPOSURE = re.compile(r"Overall exposure level for \S+: (\d+\.\d+)")
MOST = 3.0  # of 10, what systemd-analyze calls OK
OFFLINE_SINCE = 250
SERVICES = ("tcmicro-agent.service", "tcmicro-boot.service", "tcmicro-guard@.service", PULL)
AT_BOOT = ("tcmicro-boot.service", "tcmicro-guard@.service")
RESTORE_EMULATED_S = 15  # of processor time, on one that is emulated and shared
SYSTEMD_DEFAULT_S = 90  # DefaultTimeoutStartSec=


def systemd_version() -> int:
    if shutil.which("systemd-analyze") is None:
        return 0
    done = subprocess.run(["systemd-analyze", "--version"], capture_output=True, text=True)
    found = re.match(r"systemd (\d+)", done.stdout)
    return int(found[1]) if found else 0


def path_of(name: str) -> Path:
    return ELSEWHERE.get(name, UNITS / name)


def settings(name: str) -> dict[str, list[str]]:
    """Values of a unit file by key, in order."""
    found: dict[str, list[str]] = {}
    for line in path_of(name).read_text().splitlines():
        key, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            found.setdefault(key, []).append(value)
    return found


@pytest.mark.skipif(
    systemd_version() < OFFLINE_SINCE, reason=f"no systemd-analyze from {OFFLINE_SINCE} on here"
)
@pytest.mark.parametrize("name", SERVICES)
def test_exposure_is_low(name):
    argv = ["systemd-analyze", "security", "--offline=true", str(path_of(name))]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60)
    found = EXPOSURE.search(done.stdout)
    assert found, done.stderr
    assert float(found[1]) <= MOST, done.stdout


def test_agent_has_the_three_capabilities_of_a_loader():
    unit = settings("tcmicro-agent.service")
    assert unit["CapabilityBoundingSet"] == ["CAP_BPF CAP_PERFMON CAP_NET_ADMIN"]
    assert unit["AmbientCapabilities"] == [""]
    assert unit["NoNewPrivileges"] == ["yes"]


@pytest.mark.parametrize("name", SERVICES)
@pytest.mark.parametrize(
    ("key", "why"),
    [
        ("ProtectKernelTunables", "bpffs would be read-only, and a container's boot id another"),
        ("ProtectControlGroups", "a container's boot id would be another"),
        ("ProtectProc", "the follower of events would look dead"),
        ("ProcSubset", "memory, forwarding and the boot id are read below /proc"),
    ],
)
def test_what_would_break_the_services_is_left_out(name, key, why):
    assert key not in settings(name), why


@pytest.mark.parametrize("name", AT_BOOT)
def test_boot_waits_for_nobody(name):
    unit = settings(name)
    assert unit["WantedBy"] == ["sysinit.target"]
    assert "network-pre.target" in unit["Before"][0]
    assert "RequiredBy" not in unit


@pytest.mark.parametrize("name", AT_BOOT)
def test_boot_waits_as_long_as_slow_processors_need_and_no_longer_than_for_any_service(name):
    (limit,) = settings(name)["TimeoutStartSec"]
    assert 4 * RESTORE_EMULATED_S <= int(limit) <= SYSTEMD_DEFAULT_S


def test_agent_starts_after_the_boot_unit_and_needs_no_success_of_it():
    unit = settings("tcmicro-agent.service")
    assert "tcmicro-boot.service" in unit["After"][0]
    assert not {"Requires", "BindsTo", "Requisite"} & set(unit)


def test_release_that_keeps_failing_is_told_to_the_guard():
    unit = settings("tcmicro-agent.service")
    assert unit["OnFailure"] == ["tcmicro-guard@failed.service"]
    assert int(unit["StartLimitBurst"][0]) * int(unit["RestartSec"][0]) < int(
        unit["StartLimitIntervalSec"][0]
    )


def test_a_pull_has_the_rights_of_the_agent_and_an_end():
    unit, agent = settings(PULL), settings("tcmicro-agent.service")
    for key in ("CapabilityBoundingSet", "SystemCallFilter", "RestrictAddressFamilies"):
        assert unit[key] == agent[key]
    assert unit["TimeoutStartSec"] == ["2h"]
    assert "WantedBy" not in unit  # the timer starts it
