"""The model against the agent: both walk the same way, and every change of kernel or files must be the same."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from tcmicro_agent import plan
from tcmicro_agent.datapath.kernel import NEVER
from tests.unit.protocol import apply, steps
from tests.unit.protocol.model import fresh
from tests.unit.protocol.state import Change
from tests.unit.protocol.transitions import TABLE, at
from tests.unit.protocol.walk import PASSING, Pair

EVENTS = ("apply to confirm", "apply", "confirm", "revert", "keep up", "time", "power")


def ops_of(verb: steps.Verb) -> list[str]:
    """The ops of plan.py in a table; steps of one op are neighbours."""
    named = [step.op for step in verb if step.op]
    return [op for n, op in enumerate(named) if n == 0 or named[n - 1] != op]


@pytest.mark.parametrize(("verb", "within"), [(apply.APPLY_TO_CONFIRM, 1), (apply.APPLY, 0)])
def test_the_model_has_the_ops_of_the_plan_in_their_order(verb, within):
    pair = Pair(fresh((Change("B", within),)))
    planned = pair.real.plan_of("B", within)
    assert ops_of(verb) == [type(op).__name__ for op in planned]
    assert set(ops_of(verb)) <= {op.__name__ for op in plan.Op.__args__}


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.title)
def test_transition_of_the_model_and_of_the_fake_kernel_follow_the_table(row):
    now = 1_000_000
    word, expected, desired, after = (
        at(w, now) for w in (row.word, row.expected, row.desired, row.after)
    )
    assert steps.transition(word, now, expected, desired) == (row.result, after)
    kernel = Pair(fresh()).real.kernel
    kernel.word = word
    assert kernel.transition(expected.encode(), desired.encode()) is row.result
    assert kernel.word == after
    assert after.live(now) == row.live


def test_the_word_that_only_samples_is_the_kernels():
    assert steps.NEVER.encode() == NEVER


def ways(first: Pair, length: int) -> Iterator[Pair]:
    """Where every sequence of so many events ends, one verb of it killed at each change it makes; each end once."""
    ends, seen = [first], set()
    for _ in range(length):
        ends = [end for pair in ends for end in _ends(pair) if not _known(seen, end)]
        yield from ends


def _ends(pair: Pair) -> Iterator[Pair]:
    for event in EVENTS:
        done = pair.copy()
        changes = done.walk(event)
        yield done
        for cut in range(changes if pair.whole and event not in PASSING else 0):
            killed = pair.copy()
            killed.walk(event, cut)
            yield killed


def _known(seen: set[object], pair: Pair) -> bool:
    known = (pair.host, pair.whole) in seen
    seen.add((pair.host, pair.whole))
    return known


LEASING = ("confirm to lease", "renew", "commit", "confirm", "revert", "keep up", "time", "power")


def test_every_sequence_with_leases_is_the_same(monkeypatch):
    monkeypatch.setattr(sys.modules[__name__], "EVENTS", LEASING)
    pending = Pair(fresh(()))
    pending.walk("apply to confirm")
    ends = sum(1 for _ in ways(pending, 4))
    print(f"{ends} different ends")
    assert ends > 150


def test_every_sequence_is_the_same_in_model_and_agent():
    ends = sum(1 for _ in ways(Pair(fresh(())), 4))
    print(f"{ends} different ends")
    assert ends > 500
