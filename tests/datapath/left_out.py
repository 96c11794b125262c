"""What the guests of `make test-kernels` leave to the running kernel; each skip says why."""

from __future__ import annotations

import pytest

AGENT = pytest.mark.running_kernel(
    "the agent's own doing; the kernel's share in it is tested without, and a start takes minutes where emulated (one"
    " is made there: test_link_events)"
)
ANOTHER_LOAD = pytest.mark.running_kernel(
    "loads the programs once more for each step, which takes a guest half a minute; it tries a resize under traffic,"
    " which loads, copies and swaps"
)
SEARCH = pytest.mark.running_kernel(
    "looks for addresses whose hashes collide, which emulated Python does for a minute; no matter of the kernel"
)
TWO_CPUS = pytest.mark.running_kernel("several processors at once; a guest has one")
