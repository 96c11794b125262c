"""The modules policy and policy_stage: what they ask of the agent, and what they foresee in check mode."""

from __future__ import annotations

import json

import pytest
from ansible_collections.tcmicro.fleet.plugins.module_utils.agent import Agent
from ansible_collections.tcmicro.fleet.plugins.modules import policy, policy_stage

STAGED = {"generation": 5, "digest": "cd34", "share": 0}
PARAMS = {"epoch": None, "lease": 60, "transaction": {"id": "t1", "token": "x"}}


class FakeAgent:
    """Answers `status` with one state of the last change, and refuses or carries out the rest."""

    def __init__(self, state="", *, refuses=False, staged=None):
        self.asked = []
        self.refuses = refuses
        self.status = {
            "policy": {"generation": 4, "digest": "ab12", "staged": staged},
            "transaction": {"id": "t1", "state": state} if state else None,
        }

    def run(self, argv):
        verb = argv[1:-1]
        self.asked.append(verb)
        if verb == ["status"]:
            return 0, json.dumps(self.status), ""
        if self.refuses:
            return 3, '{"error": {"message": "no change is waiting to be confirmed"}}', ""
        answer = {"changed": True, "generation": 3, "digest": "99", "state": "committed"}
        return 0, json.dumps(answer), ""

    @property
    def agent(self):
        return Agent(self.run, "/x/tc-micro")

    @property
    def acted(self):
        return [verb for verb in self.asked if verb != ["status"]]


def test_change_that_waits_is_taken_back():
    host = FakeAgent("leased")
    assert policy.later(host.agent, "revert", PARAMS)["changed"]


def test_reverted_a_second_time_changes_nothing_and_still_tells_the_epoch():
    host = FakeAgent("reverted", refuses=True)
    answer = policy.later(host.agent, "revert", {**PARAMS, "epoch": 7})
    assert (answer["changed"], answer["digest"]) == (False, "ab12")
    assert host.acted == [["policy", "revert", "--epoch", "7"]]


def test_refusal_to_take_back_what_waits_is_a_failure():
    host = FakeAgent("pending", refuses=True)
    with pytest.raises(policy.PolicyError) as refusal:
        policy.later(host.agent, "revert", PARAMS)
    assert refusal.value.code == 3


@pytest.mark.parametrize(
    ("operation", "state", "changed"),
    [
        ("revert", "pending", True),
        ("revert", "leased", True),
        ("revert", "confirmed", False),
        ("revert", "reverted", False),
        ("revert", "", False),
        ("commit", "leased", True),
        ("commit", "confirmed", False),
        ("renew", "leased", True),
        ("renew", "confirmed", False),
    ],
)
def test_check_mode_foresees_what_would_change(operation, state, changed):
    host = FakeAgent(state)
    assert policy.foreseen(host.agent, operation, PARAMS)["changed"] is changed
    assert host.acted == []


@pytest.mark.parametrize("state", ["pending", "reverted", ""])
def test_check_mode_foresees_what_would_be_refused(state):
    with pytest.raises(policy.PolicyError, match="t1 would be refused"):
        policy.foreseen(FakeAgent(state).agent, "commit", PARAMS)


def test_check_mode_foresees_that_a_foreign_ticket_is_refused():
    foreign = {**PARAMS, "transaction": {"id": "t9", "token": "x"}}
    with pytest.raises(policy.PolicyError, match="is t1, which is leased"):
        policy.foreseen(FakeAgent("leased").agent, "renew", foreign)


@pytest.mark.parametrize(("staged", "changed"), [(STAGED, True), (None, False)])
def test_check_mode_foresees_whether_something_staged_would_go(staged, changed):
    host = FakeAgent(staged=staged)
    reply = policy_stage.unstage(host.agent, check=True)
    assert reply.ok
    assert reply.document["changed"] is changed
    assert host.acted == []


def test_staged_goes_outside_of_check_mode():
    host = FakeAgent(staged=STAGED)
    policy_stage.unstage(host.agent, check=False)
    assert host.acted == [["policy", "unstage"]]
