"""Upkeep looks closely only where something has changed, or may change by itself."""

from __future__ import annotations

from dataclasses import replace

import pytest
from builders import bundle, rule
from fakes import FakeKernel

from tcmicro_agent import abi, follower, local_policy, messages
from tcmicro_agent.config import Config
from tcmicro_agent.local import LocalRule
from tcmicro_agent.policy.model import Action, Direction, Mode, Protocol, Service, Window
from tcmicro_agent.reconcile import Agent
from tcmicro_agent.store import Store
from tcmicro_agent.tuning import Tuning
from tcmicro_agent.upkeep import Upkeep

CONFIG = Config(mode=Mode.PROTECT)
FIRST, SECOND = bundle(), bundle(rule("p/a", "tcp/80"))


class Kernel(FakeKernel):
    """With settings and a failsafe, and a count of how often somebody looked whether they are right."""

    def __init__(self, clock) -> None:
        super().__init__(clock)
        self.settings, self.failsafe = b"", frozenset()
        self.looks = 0

    def hz(self) -> int:
        return 250

    def policy_state(self) -> tuple[bytes, ...]:
        word = abi.U32.pack(0) + str(self.word).encode()
        return (word, self.settings, repr(self.slots).encode(), *sorted(self.failsafe))

    def set_settings(self, wanted: bytes) -> bool:
        self.looks += 1
        before, self.settings = self.settings, wanted
        return before != wanted

    def set_failsafe(self, wanted: frozenset[bytes]) -> tuple[int, int]:
        before, self.failsafe = self.failsafe, wanted
        return len(wanted - before), len(before - wanted)


@pytest.fixture
def kernel(clock):
    return Kernel(clock)


@pytest.fixture
def agent(kernel, clock, tmp_path):
    store = Store(tmp_path)
    (tmp_path / "etc/tcmicro").mkdir(parents=True)
    (tmp_path / "etc/tcmicro/agent.json").write_text('{"mode": "protect"}')
    return Agent(kernel, store, clock)


@pytest.fixture
def upkeep(agent):
    """That has found all to be right."""
    agent.apply(FIRST)
    made = Upkeep(agent)
    while made.converge(CONFIG, anew=False):
        pass
    return made


def looks(upkeep, kernel, config=CONFIG, *, anew=False) -> int:
    """How often it looked closely when it was asked to converge once more."""
    before = kernel.looks
    upkeep.converge(config, anew=anew)
    return kernel.looks - before


def test_unchanged_state_is_not_read_again(upkeep, kernel):
    assert [looks(upkeep, kernel) for _ in range(5)] == [0] * 5


def test_unchanged_state_is_read_again_where_that_is_asked_for(upkeep, kernel):
    assert looks(upkeep, kernel, anew=True) == 1
    assert looks(upkeep, kernel) == 0


def test_what_somebody_changed_in_the_kernel_is_put_right(upkeep, kernel):
    right, kernel.settings = kernel.settings, b"wrong"
    assert upkeep.converge(CONFIG, anew=False) == [messages.SETTINGS_WRITTEN()]
    assert kernel.settings == right


def test_another_configuration_is_followed(upkeep, kernel):
    config = replace(CONFIG, tuning=Tuning(event_rate=7))
    assert looks(upkeep, kernel, config) >= 1
    while looks(upkeep, kernel, config):
        pass
    assert looks(upkeep, kernel) == 1  # back again


@pytest.mark.parametrize(
    "change",
    [
        lambda agent: agent.apply(SECOND),
        lambda agent: agent.store.save_books(replace(agent.store.books(), numbers={"x/y": 9})),
        lambda agent: (agent.store.var / "state.json").unlink(),
        lambda agent: setattr(agent.kernel, "word", abi.Word(0, 0, 0)),
    ],
    ids=["apply", "books", "books lost", "control word"],
)
def test_a_change_is_seen(upkeep, agent, kernel, change):
    change(agent)
    assert looks(upkeep, kernel) == 1


def test_what_waits_for_a_deadline_is_looked_at_each_time(upkeep, agent, kernel, clock):
    agent.apply(SECOND, confirm_within=60)
    upkeep.converge(CONFIG, anew=False)
    assert [looks(upkeep, kernel) for _ in range(3)] == [1] * 3
    clock.pass_seconds(61)  # nothing was written, and nobody said anything
    [event] = upkeep.converge(CONFIG, anew=False)
    assert event.message is messages.POLICY_REVERTED


def test_rules_that_end_by_themselves_are_looked_at_each_time(upkeep, agent, kernel, clock):
    ending = replace(rule("p/a", "tcp/80"), window=Window(end=int(clock.wall) + 100))
    agent.apply(bundle(ending))
    while upkeep.converge(CONFIG, anew=False):
        pass
    assert looks(upkeep, kernel) == 1


def test_local_rules_are_looked_at_each_time(upkeep, agent, kernel, clock):
    wanted = LocalRule(
        id="",
        direction=Direction.INGRESS,
        action=Action.DENY,
        network=None,
        service=Service(Protocol.TCP, 80, 80),
        comment="",
        made=agent.moment(),
        ttl_s=60,
    )
    local_policy.add(agent, wanted)
    upkeep.converge(CONFIG, anew=False)
    assert looks(upkeep, kernel) == 1


def test_a_follower_is_looked_at_until_it_is_gone(upkeep, agent, kernel):
    with follower.alone(agent.store, {abi.Reason.SESSION}):
        upkeep.converge(CONFIG, anew=False)
        assert [looks(upkeep, kernel) for _ in range(2)] == [1, 1]
    upkeep.converge(CONFIG, anew=False)
    upkeep.converge(CONFIG, anew=False)
    assert looks(upkeep, kernel) == 0
