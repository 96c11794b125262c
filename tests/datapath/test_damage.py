"""Somebody damages the datapath of a running agent, or while none runs: it is seen, told, and repaired."""

from __future__ import annotations

import pytest
from left_out import AGENT
from test_agent import OPEN, SERVICE
from test_link_events import host, reload, until, world  # noqa: F401  # fixtures
from world import US, connection, talks, tcp

from tcmicro_agent.datapath.kernel import Kernel

pytestmark = AGENT
TABLES = ("tcm_hosts4", "tcm_rules", "tcm_slots", "tcm_control")


@pytest.fixture
def ruled(host):  # noqa: F811
    """A host whose policy lets one peer in, and says so of itself."""
    host.run("policy", "apply", host.write(OPEN))
    until(lambda: "tc_micro_enforcing 1.0" in host.metrics())
    return host


def judges(host) -> bool:  # noqa: F811
    open_, closed = tcp(host.world.peer, US, SERVICE), tcp(host.world.peer, US, 22)
    return open_ and not closed


def healthy(host) -> bool:  # noqa: F811
    status = host.status()
    whole = status["drift"] == [] and status["agent"]["enforcing_problem"] is None
    return whole and "tc_micro_enforcing 1.0" in host.metrics()


@pytest.mark.parametrize("table", ["tcm_rules", "tcm_hosts4"])
def test_what_is_deleted_from_a_policy_is_built_anew(ruled, table):
    before = ruled.status()["policy"]
    kernel = Kernel(ruled.pins)
    for key in list(kernel.map(table)):
        kernel.map(table).delete(key)
    kernel.close()
    assert not tcp(ruled.world.peer, US, SERVICE)
    until(lambda: ruled.status()["policy"]["generation"] > before["generation"], 30)
    after = ruled.status()["policy"]
    assert (after["digest"], after["state"]) == (before["digest"], "committed")
    assert judges(ruled)
    until(lambda: healthy(ruled))
    assert 'tc_micro_log_lines_total{code="TCMA0208"} 1.0' in ruled.metrics()


def test_pins_that_are_removed_come_back_with_all_they_hold(ruled):
    with connection(ruled.world.peer, US, SERVICE) as client:
        names = [pin for pin in ruled.pins.iterdir() if pin.is_file()]
        for pin in (*names, *(ruled.pins / "programs").iterdir()):
            pin.unlink()
        (ruled.pins / "programs").rmdir()
        reload(ruled)  # so that it looks now, and not up to half a minute later
        until(lambda: all(pin.exists() for pin in names))
        until(lambda: healthy(ruled))
        assert talks(client)
    assert judges(ruled)
    assert ruled.status()["policy"]["generation"] == 1
    assert 'tc_micro_log_lines_total{code="TCMA0209"} 1.0' in ruled.metrics()


@pytest.mark.parametrize("table", TABLES)
def test_a_table_that_is_lost_while_no_agent_runs_is_built_before_programs_use_it(ruled, table):
    before = ruled.status()["policy"]
    with connection(ruled.world.peer, US, SERVICE) as client:
        ruled.stop()
        (ruled.pins / table).unlink()
        ruled.start()
        assert judges(ruled)
        assert talks(client)
    after = ruled.status()["policy"]
    assert (after["digest"], after["state"]) == (before["digest"], "committed")
    until(lambda: healthy(ruled))
    assert not (ruled.pins.parent / f"{ruled.pins.name}-aside").exists()
