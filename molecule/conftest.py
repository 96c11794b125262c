"""What the tests of all scenarios look at, through testinfra."""

from __future__ import annotations

import json
import time

import pytest

PATIENCE_S = 120


@pytest.fixture(scope="module")
def status(host):
    """The agent's word on itself, once it has settled after a boot; asked once, nothing changes while tests look."""
    end = time.monotonic() + PATIENCE_S
    while True:
        said = host.run("tc-micro status --json")
        found = json.loads(said.stdout) if said.rc == 0 else {}
        if found.get("agent", {}).get("running") and not found["drift"]:
            return found
        if time.monotonic() > end:
            pytest.fail(f"not settled after {PATIENCE_S} s: {found or said.stderr}")
        time.sleep(2)
