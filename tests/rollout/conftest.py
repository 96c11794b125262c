"""Fleets of fake hosts. Scenarios are independent of each other, so two of a file run at a time."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.rollout.fleet import Fleet

HOSTS = ["h1", "h2", "h3", "h4"]


@pytest.fixture
def fleet(tmp_path):
    """Four hosts, in waves of two. What a failed test left running ends with it."""
    made = Fleet(tmp_path, HOSTS)
    yield made
    made.end()


@pytest.fixture(scope="module")
def after(request, tmp_path_factory):
    """Run the SCENARIOS of a file, by name a function of a fleet; the fleet and what came out, once one has ended."""

    def play(scenario):
        fleet = Fleet(tmp_path_factory.mktemp("fleet"), HOSTS)
        return fleet, scenario(fleet)

    with ThreadPoolExecutor(2) as pool:
        runs = {name: pool.submit(play, run) for name, run in request.module.SCENARIOS.items()}
        yield lambda name: runs[name].result()
