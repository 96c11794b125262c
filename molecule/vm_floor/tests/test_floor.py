"""A host without types of the kernel is guarded; one that lacks more has nothing of ours."""

from __future__ import annotations

import json

import pytest

PATHS = ("/opt/tcmicro", "/etc/tcmicro", "/var/lib/tcmicro", "/sys/fs/bpf/tcmicro")


@pytest.fixture
def name(host):
    return host.check_output("hostname")


def test_kernel_shows_no_types(host):
    assert not host.file("/sys/kernel/btf/vmlinux").exists


def test_host_without_types_is_guarded_and_told_of_it(host, name, request):
    if name != "web1":
        pytest.skip(f"{name} is the one that was refused")
    status = request.getfixturevalue("status")
    assert (status["policy"]["state"], status["policy"]["mode"]) == ("committed", "protect")
    assert host.run("tc-micro explain 10.77.3.1 self:80/tcp").rc == 0
    assert host.run("tc-micro explain 10.77.3.1 self:5432/tcp").rc == 3
    findings = json.loads(host.check_output("tc-micro preflight --json"))["findings"]
    assert {row["check"]: row["level"] for row in findings}["btf"] == "warn"


@pytest.mark.parametrize("path", PATHS)
def test_nothing_was_changed_on_the_host_that_was_refused(host, name, path):
    if name == "web1":
        pytest.skip("web1 was not refused")
    assert not host.file(path).exists
    assert not host.service("tcmicro-agent").exists
