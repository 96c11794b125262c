"""The last step: hosts and machine are as if we had never been there. Runs after all other fleet tests."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.lab


def test_nothing_is_left_on_hosts_and_machine(reach):
    evidence = reach(9)
    assert "filters, pins, units, users, processes, files left on hosts: none" in evidence
    assert "of these programs left in the kernel: 0" in evidence
    assert "mounts, processes, namespaces left on this machine: none" in evidence


def test_lab_that_is_down_goes_down_again(reach, scene):
    reach(9)
    assert scene.plays.lab("absent").code == 0
