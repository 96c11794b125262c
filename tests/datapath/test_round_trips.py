"""Round trips of real connections, as the agent records them, and under a fault that holds every packet for a while."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
from world import PEER, PEER6, World, connection, talks

from tcmicro_agent.datapath import tcp_info

SERVICE, HELD_US, RECENT_MS = 80, 900, 60_000
FAULTS = Path(__file__).parents[2] / "roles/tcmicro_drill/files/faults.py"


@pytest.fixture
def world():
    """Hosts that know each other's addresses already."""
    made = World()
    made.serve(made.peer, SERVICE)
    for address in (PEER, PEER6):
        made.us.run("ping", "-c", "1", "-w", "10", address)
    yield made
    made.close()


def measured(world):
    return world.us.inside(tcp_info.round_trips, RECENT_MS)


@pytest.mark.parametrize("address", [PEER, PEER6])
def test_connection_in_use_is_measured_at_both_ends(world, address):
    with connection(world.us, address, SERVICE) as client:
        assert all(talks(client) for _ in range(3))
        assert len(measured(world)) == 1
        assert len(world.peer.inside(tcp_info.round_trips, RECENT_MS)) == 1
    assert measured(world) == []


def test_no_more_connections_are_read_than_were_asked_for(world):
    with connection(world.us, PEER, SERVICE) as one, connection(world.us, PEER, SERVICE) as other:
        assert talks(one)
        assert talks(other)
        assert len(measured(world)) == 2
        assert len(world.us.inside(tcp_info.round_trips, RECENT_MS, 1)) == 1


def test_packets_that_are_held_are_seen_in_it(world):
    spec = importlib.util.spec_from_file_location("drill_faults", FAULTS)
    faults = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(faults)
    world.us.inside(faults.attach, faults.holding(HELD_US * 1000, 2**62))
    with connection(world.us, PEER, SERVICE) as client:
        assert all(talks(client) for _ in range(3))
        [held] = measured(world)
    assert held >= HELD_US
