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
    # made here: the factory is not for threads
    folders = {name: tmp_path_factory.mktemp("fleet") for name in request.module.SCENARIOS}

    def play(name, scenario):
        fleet = Fleet(folders[name], HOSTS)
        return fleet, scenario(fleet)

    pool = ThreadPoolExecutor(2)
    runs = {name: pool.submit(play, name, run) for name, run in request.module.SCENARIOS.items()}
    yield lambda name: runs[name].result()
    pool.shutdown(cancel_futures=True)
