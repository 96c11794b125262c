"""The module agent_info: everything in one question where the agent can answer it, else one for each document."""

from __future__ import annotations

import json

import pytest
from ansible_collections.tcmicro.fleet.plugins.module_utils.agent import Agent
from ansible_collections.tcmicro.fleet.plugins.modules import agent_info

STATUS = {"kind": "Status", "policy": {"staged": None}}
SAMPLES = {"kind": "Samples", "samples": [{"t": 1}]}
DIFFERENCES = [{"flows": 3}]
UNKNOWN, BROKEN = 2, 1


class FakeAgent:
    """Answers what it can. `failing`: exit codes by verb; `staged`: what its policy part tells of a candidate."""

    def __init__(self, failing=None, staged=None):
        self.asked, self.failing = [], failing or {}
        self.status = {**STATUS, "policy": {"staged": staged}}

    def run(self, argv):
        words = tuple(argv[1:-1])
        self.asked.append(words)
        both = words[0] == "status" and "--samples" in words
        verb = "both" if both else words[0]
        if verb in self.failing:
            return self.failing[verb], "", "no"
        answers = {
            "both": {**self.status, "samples": SAMPLES},
            "status": self.status,
            "samples": SAMPLES,
            "policy": {"differences": DIFFERENCES},
        }
        return 0, json.dumps(answers[verb]), ""


@pytest.fixture
def agent(tmp_path):
    """The agent of a host that has its program."""
    program = tmp_path / "tc-micro"
    program.touch(mode=0o755)
    return lambda fake: Agent(fake.run, str(program))


def test_status_and_samples_are_one_question(agent):
    fake = FakeAgent()
    found = agent_info.told(agent(fake), 60, peers=True)
    assert found == {"status": STATUS, "samples": SAMPLES, "problem": ""}
    assert fake.asked == [("status", "--samples", "60", "--peers")]


def test_without_samples_nothing_is_told_of_them(agent):
    fake = FakeAgent()
    assert agent_info.told(agent(fake), 0, peers=False) == {"status": STATUS, "problem": ""}
    assert fake.asked == [("status",)]


@pytest.mark.parametrize(
    ("failing", "samples", "problem"),
    [
        ({"both": UNKNOWN}, SAMPLES, ""),
        ({"both": UNKNOWN, "samples": UNKNOWN}, None, ""),
        ({"both": BROKEN, "samples": BROKEN}, {}, ""),
        ({"both": BROKEN, "status": BROKEN}, SAMPLES, "tc-micro status failed"),
    ],
    ids=["older", "older still", "no samples", "no status"],
)
def test_agent_that_cannot_answer_both_is_asked_for_each(agent, failing, samples, problem):
    fake = FakeAgent(failing)
    found = agent_info.told(agent(fake), 60, peers=False)
    assert found["samples"] == samples
    assert found["problem"].startswith(problem)
    assert (found["status"] is None) == bool(problem)
    assert fake.asked[1:] == [("status",), ("samples", "--since", "60")]


def test_host_without_an_agent_is_asked_nothing(tmp_path):
    fake = FakeAgent()
    found = agent_info.told(Agent(fake.run, str(tmp_path / "none")), 60, peers=False)
    assert found == {"status": None, "problem": "the agent is not installed"}
    assert not fake.asked


def test_differences_are_asked_of_hosts_where_something_is_staged(agent):
    fake = FakeAgent(staged={"digest": "cd34"})
    assert agent_info.differences(agent(fake), fake.status) == DIFFERENCES
    idle = FakeAgent()
    for status in (idle.status, {"policy": {}}, None):
        assert agent_info.differences(agent(idle), status) == []
    assert not idle.asked
