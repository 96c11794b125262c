"""What rules after a boot or a loss of power in the middle of a policy change: what was kept last, and nothing else."""

from __future__ import annotations

import json

import pytest

NOTE = "/root/step.json"
DOOR = "10.77.0.1 self:9999/tcp"
ANSWERS = {0: True, 3: False}  # exit codes of `tc-micro explain`


@pytest.fixture(scope="module")
def note(host):
    """What files/reach.py wrote down before the power went."""
    found = host.run(f"cat {NOTE}")
    if found.rc:
        pytest.skip("no change of policy was cut on this host yet")
    return json.loads(found.stdout)


def test_policy_that_was_kept_last_rules(host, status, note):
    assert status["policy"]["digest"] == note["digest"], note["step"]
    assert ANSWERS[host.run(f"tc-micro explain {DOOR}").rc] is note["door"]


def test_nothing_is_left_of_what_was_not_kept(status, note):
    assert status["policy"]["staged"] is None
    change = status["transaction"]
    assert change is None or change["state"] in ("confirmed", "reverted")
