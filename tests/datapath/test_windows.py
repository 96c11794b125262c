"""Rules with times on a real host: in the kernel, by the clock, under one digest."""

from __future__ import annotations

from dataclasses import replace

import pytest
from builders import bundle, rule
from packets import ACK, SYN, tcp_packet

from tcmicro_agent import upkeep
from tcmicro_agent.abi import Direction, Reason
from tcmicro_agent.config import Config
from tcmicro_agent.datapath.clock import Clock
from tcmicro_agent.policy.bundle import digest
from tcmicro_agent.policy.model import Action, Mode, Window
from tcmicro_agent.reconcile import Agent
from tcmicro_agent.store import Store

US, PEER = "10.0.0.1", "10.1.0.2"
IN, OUT = Direction.INGRESS, Direction.EGRESS
NOW = 1_800_000_000
POLICY = bundle(
    replace(rule("p/visitor", "tcp/22", (1,)), window=Window(NOW + 10, NOW + 20)),
    rule("p/web", "tcp/80", (1,)),
    endpoints={PEER: 1},
    egress=Action.ALLOW,
)


class WallClock(Clock):
    """The host's clock, but for the time of day."""

    wall = float(NOW)

    def wall_s(self) -> float:
        return self.wall


@pytest.fixture
def clock() -> WallClock:
    return WallClock()


@pytest.fixture
def agent(datapath, tmp_path, clock) -> Agent:
    return Agent(datapath.kernel, Store(tmp_path), clock)


def visit(datapath, sport: int, flags: int = SYN) -> Reason:
    return datapath.reason(IN, tcp_packet(PEER, sport, US, 22, flags))


def test_rule_begins_and_expires_and_ends_its_flows(agent, datapath, clock):
    config = Config(mode=Mode.PROTECT)
    agent.apply(POLICY)
    assert visit(datapath, 1000) is Reason.DEFAULT_DENY
    clock.wall += 10
    upkeep.converge(agent, config)
    assert visit(datapath, 1001) is Reason.RULE_ALLOW
    answer = tcp_packet(US, 22, PEER, 1001, SYN | ACK)
    assert datapath.reason(OUT, answer) is Reason.SESSION
    assert visit(datapath, 1001, ACK) is Reason.SESSION
    assert datapath.reason(IN, tcp_packet(PEER, 1002, US, 80)) is Reason.RULE_ALLOW
    clock.wall += 10
    upkeep.converge(agent, config)
    assert visit(datapath, 1001, ACK) is Reason.REVOKED
    assert visit(datapath, 1003) is Reason.DEFAULT_DENY
    assert datapath.reason(IN, tcp_packet(PEER, 1002, US, 80)) is Reason.SESSION
    assert agent.observe().live.digest == digest(POLICY)
    assert agent.store.books().confirmed.generation == 3


def test_agent_that_starts_anew_finds_the_rules_of_now(agent, datapath, clock, tmp_path):
    agent.apply(POLICY)
    clock.wall += 10
    heir = Agent(datapath.kernel, Store(tmp_path), clock)
    upkeep.converge(heir, Config(mode=Mode.PROTECT))
    assert visit(datapath, 1000) is Reason.RULE_ALLOW
    generation = heir.observe().live.generation
    upkeep.converge(heir, Config(mode=Mode.PROTECT))
    assert heir.observe().live.generation == generation
