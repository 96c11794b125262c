"""How changes of the policy ended, counted from the files that whoever made them wrote."""

from __future__ import annotations

import pytest
from builders import bundle, rule

from tcmicro_agent.metrics.vitals import Changes, Vitals
from tcmicro_agent.policy.model import Mode

FIRST, SECOND = bundle(), bundle(rule("p/a", "tcp/80"))


@pytest.fixture
def changes(agent):
    found = Changes()
    found.look(agent.store)
    return found


def test_what_was_there_before_is_not_counted(agent):
    agent.apply(FIRST)
    found = Changes()
    found.look(agent.store)
    assert found.outcomes == {"confirmed": 0, "reverted": 0}


def test_each_change_is_counted_once_by_its_end(agent, changes):
    agent.apply(FIRST)
    for _ in range(3):
        changes.look(agent.store)
    assert changes.outcomes == {"confirmed": 1, "reverted": 0}
    ticket = agent.apply(SECOND, confirm_within=60).transaction
    changes.look(agent.store)
    assert changes.outcomes == {"confirmed": 1, "reverted": 0}
    agent.confirm(ticket.id, ticket.token)
    changes.look(agent.store)
    assert changes.outcomes == {"confirmed": 2, "reverted": 0}


def test_what_is_taken_back_is_counted_so(agent, changes, clock):
    agent.apply(FIRST)
    changes.look(agent.store)
    agent.apply(SECOND, confirm_within=60)
    agent.revert()
    changes.look(agent.store)
    agent.apply(SECOND, confirm_within=60)
    clock.pass_seconds(61)
    agent.settle()
    changes.look(agent.store)
    assert changes.outcomes == {"confirmed": 1, "reverted": 2}


def test_a_change_of_mode_is_one_of_policy(agent, changes):
    agent.apply(FIRST)
    agent.restore(Mode.MONITOR)
    changes.look(agent.store)
    assert changes.outcomes["confirmed"] >= 1


def test_a_round_that_fails_is_a_round():
    vitals = Vitals()
    with pytest.raises(OSError, match="no"), vitals.timed():
        raise OSError("no")
    assert vitals.loops == 1
    assert vitals.loop_seconds > 0
