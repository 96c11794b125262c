"""Frames nobody should send: always a verdict, always one reason, and what is malformed never passes as a flow."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest
from builders import bundle
from harness import Datapath
from mutations import chain, frames, mutant, runnable, truncations, valid
from policies import QUIET
from seeds import base_seed, scaled
from strict import fault

from tcmicro_agent.abi import DENY_REASONS, Bank, Direction, Reason
from tcmicro_agent.policy.model import Action

FRAMES = 30_000
OPEN = bundle(ingress=Action.ALLOW, egress=Action.ALLOW)
FAULTS = {Reason.MALFORMED, Reason.FRAGMENT_TINY}
REFUSALS = {*FAULTS, Reason.ICMP_ERROR_UNKNOWN}


@pytest.fixture
def open_house(datapath) -> Datapath:
    """A policy that allows everything: what is refused is refused for what it is."""
    datapath.tune(QUIET)
    datapath.enforce(OPEN)
    return datapath


class Examination:
    """Sends frames and looks at the one counter that moved."""

    def __init__(self, datapath: Datapath) -> None:
        self._datapath = datapath
        self._counts = datapath.counts()
        self.found: Counter[Reason] = Counter()

    def send(self, direction: Direction, frame: bytes) -> None:
        """What a test run does not take is sent by test_conservation.py, on a wire."""
        if not runnable(frame):
            return
        passes = self._datapath.judges[direction](frame)
        counts = self._datapath.counts()
        moved, self._counts = counts - self._counts, counts
        what = f"{direction.name} {frame.hex()}: {'passes' if passes else 'refused'}, {dict(moved)}"
        assert moved.total() == 1, what
        [(bank, way, reason)] = moved
        assert (bank, way) == (Bank.ENFORCED, direction), what
        assert passes == (reason not in DENY_REASONS), what
        wrong = fault(frame)
        assert not wrong or reason in REFUSALS, f"{wrong}: {what}"
        assert wrong or reason not in FAULTS, f"nothing is wrong: {what}"
        self.found[reason] += 1

    def send_both_ways(self, frame: bytes) -> None:
        for direction in Direction:
            self.send(direction, frame)


def test_any_frame_has_one_verdict_and_one_reason(open_house, say):
    first = base_seed()
    say(f"TCM_SEED={first}")
    random, examination = Random(first), Examination(open_house)
    for number, frame in enumerate(frames(random, scaled(FRAMES))):
        if number % 5000 == 0:
            open_house.forget_sessions()
        examination.send_both_ways(frame)
    say(f"{examination.found.total()} frames, {len(examination.found)} reasons")
    assert examination.found.total() > 1.8 * scaled(FRAMES)
    assert {*REFUSALS, Reason.DEFAULT_ALLOW, Reason.FRAGMENT, Reason.NON_IP} <= set(
        examination.found
    )


def test_every_truncation_of_valid_frames(open_house, say):
    first = base_seed()
    say(f"TCM_SEED={first}")
    random, examination = Random(first), Examination(open_house)
    for _ in range(scaled(60)):
        for frame in truncations(random.choice((valid, chain))(random)):
            examination.send_both_ways(frame)
    say(f"{examination.found.total()} frames")
    assert examination.found[Reason.MALFORMED] > scaled(60) * 10


def test_a_closed_house_lets_nothing_malformed_in_and_opens_no_session(datapath, say):
    """The same under a policy that denies: only what is no flow at all passes."""
    datapath.tune(QUIET)
    datapath.enforce(bundle())
    first = base_seed()
    say(f"TCM_SEED={first}")
    random, examination = Random(first), Examination(datapath)
    for _ in range(scaled(3000)):
        examination.send_both_ways(mutant(random))
    allowed = set(examination.found) - DENY_REASONS
    assert allowed <= {Reason.NON_IP, Reason.NEIGHBOUR, Reason.FRAGMENT, Reason.DHCP}
    assert datapath.sessions() == []
