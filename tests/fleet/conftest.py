"""The fleet of these tests: the demo's own steps on the lab, taken as far as a test needs them."""

from __future__ import annotations

import sys

import pytest
import testinfra
from rich.console import Console

from tests.fleet.monitor import monitor, play, rules  # noqa: F401  # fixtures of the tests of monitoring
from tools.demo.journey import Journey
from tools.demo.lab import Lab
from tools.demo.playbook import Playbooks
from tools.demo.progress import Progress
from tools.demo.scene import Scene
from tools.demo.steps import STEPS
from tools.demo.traffic import Traffic


@pytest.fixture(scope="session")
def journey(root):
    """Where the fleet is in the main job. Whatever happens, the lab is down afterwards."""
    progress = Progress(Console(file=sys.__stdout__, force_terminal=False))
    plays = Playbooks(root, root / "build" / "fleet", progress.live)
    lab = Lab(root)
    journey = Journey(Scene(root, lab, plays, Traffic(lab), progress.say), progress, STEPS)
    yield journey
    plays.close()
    if journey.scene.owns_lab:
        plays.lab("absent")


@pytest.fixture(scope="session")
def scene(journey):
    return journey.scene


@pytest.fixture
def reach(journey):
    """Take the steps up to one; its evidence, or the test fails with what went wrong."""

    def take(number):
        results = journey.reach(number)
        faults = [
            f"step {result.step.number}: {result.fault}" for result in results if result.fault
        ]
        assert not faults, faults[0]
        return results[number - 1].evidence

    return take


@pytest.fixture
def host_of(root):
    """testinfra's view of a lab host."""

    def get(name):
        return testinfra.get_host(f"ssh://{name}", ssh_config=str(root / ".lab" / "ssh_config"))

    return get


@pytest.fixture
def unchanged(reach, scene):
    """What every host runs and enforces is the same before and after."""
    reach(4)

    def look():
        states = {name: scene.lab.agent(name, "status") for name in scene.lab.hosts()}
        return {
            n: (s["release"], s["agent"]["pid"], s["policy"]["digest"]) for n, s in states.items()
        }

    before = look()
    yield
    assert look() == before


@pytest.fixture
def refused(unchanged, scene):
    """Run a playbook that must end with a message and no host changed."""

    def run(name, *words, says):
        outcome = scene.plays.run(name, *words)
        assert outcome.code != 0
        assert outcome.total("changed") == 0
        said = " ".join(outcome.output.split())
        for text in says:
            assert text in said
        return outcome

    return run


@pytest.fixture
def say(capsys):
    """Prints what a reader of a green run wants to know, too: figures."""

    def speak(text):
        with capsys.disabled():
            print(f" {text} ", end="", flush=True)

    return speak
