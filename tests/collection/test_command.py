"""The collection's own `tc-micro`, where there is no checkout: by a Python that knows the collection alone."""

from __future__ import annotations

import os
import subprocess
import sysconfig

import pytest

from tests.rollout.fleet import POLICY


@pytest.fixture
def command(installed):
    def run(*words, program=None, **environment):
        packages = sysconfig.get_path("purelib")  # as a path of its own: no .pth file in it counts
        known = {"PATH": "/usr/bin:/bin", "PYTHONPATH": packages, "HOME": str(installed.place)}
        return subprocess.run(
            [str(program or installed.fleet / "scripts/tc-micro"), *words],
            cwd=installed.work,
            env={"ANSIBLE_LOCAL_TEMP": str(installed.place), **known, **environment},
            capture_output=True,
            text=True,
            timeout=60,
        )

    return run


@pytest.fixture
def sources(installed):
    (installed.work / "policies").mkdir(exist_ok=True)
    (installed.work / "policies/fleet.yml").write_text(POLICY.format(port=22))
    hosts = "tcmicro: {hosts: {h1: {tcmicro_addresses: [10.0.0.1]}}}\n"
    (installed.work / "hosts.yml").write_text(hosts)


def test_help_shows_what_a_controller_can_do(command):
    done = command("--help")
    assert done.returncode == 0, done.stderr
    assert "rollout" in done.stdout
    assert "session" not in done.stdout


def test_verb_of_a_host_is_refused_as_unknown(command):
    assert command("status").returncode == 2


def test_policies_are_checked(command, sources):
    done = command("policy", "validate", "policies", "-i", "hosts.yml")
    assert done.returncode == 0, done.stdout + done.stderr
    question = ("policy", "explain", "h1", "h1:22/tcp", "-i", "hosts.yml")
    assert command(*question).returncode == 0


def test_missing_journal_is_said(command):
    done = command("rollout", "list", "--dir", "nowhere")
    assert done.returncode == 6
    assert "nowhere holds no journal of rollouts" in done.stderr


def test_link_to_it_works_from_anywhere(command, installed, tmp_path):
    os.symlink(installed.fleet / "scripts/tc-micro", tmp_path / "tc-micro")
    done = command("--version", program=tmp_path / "tc-micro")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("tc-micro ")
