"""The protocol of a policy change, searched whole: ours keeps every invariant, each order we rejected breaks one."""

from __future__ import annotations

from functools import cache, partial

import pytest

from tests.unit.protocol.checker import Report, explore
from tests.unit.protocol.invariants import INVARIANTS, PROGRESS, broken, settled
from tests.unit.protocol.model import REAL, Protocol, fresh, moves, ruled
from tests.unit.protocol.state import SILENT, SPOILT, Change, State
from tests.unit.protocol.variants import VARIANTS

A, B, C, S, X = (Change(name, 1) for name in ("A", "B", "C", SILENT, SPOILT))
HOSTS = {
    "first policy ever": fresh((B,), crashes=1, cuts=1),
    "one change, crash and loss of power": ruled((B,), crashes=1, cuts=1),
    "two changes, crash": ruled((B, C), crashes=1),
    "there and back, loss of power": ruled((B, A), cuts=1),
    "for good, crash and loss of power": ruled((Change("B"),), crashes=1, cuts=1),
    "two controllers": ruled((B,), (C,)),
    "two controllers, one for good, crash": ruled((B,), (Change("C"),), crashes=1),
    "two controllers, one for good, loss of power": ruled((B,), (Change("C"),), cuts=1),
    "a lease, crash": ruled((B,), crashes=1, leases=2),
    "a lease, loss of power": ruled((B,), cuts=1, leases=2),
    "a lease and another controller": ruled((B,), (Change("C"),), leases=1),
    "under which ssh alone works, crash": ruled((S,), crashes=1, leases=1),
    "under which ssh alone works, and one that is fine": ruled((S, B)),
    "under which the host is amiss, crash and loss of power": ruled((X,), crashes=1, cuts=1),
    "packets under way": ruled((B, C), packets=True),
}


def search(protocol: Protocol, host: State, violated=broken) -> Report[State]:
    return explore(host, partial(moves, protocol), violated, settled)


@cache
def search_real(host: State) -> Report[State]:
    return search(REAL, host)


@pytest.mark.parametrize("name", HOSTS)
def test_every_reachable_state_keeps_every_invariant(name):
    found = search_real(HOSTS[name])
    print(f"{name}: {found.states} states")
    assert not found.broken, str(found)
    assert found.states > 400


@pytest.mark.parametrize("name", VARIANTS)
def test_a_rejected_order_has_a_counter_example(name):
    variant = VARIANTS[name]

    def violated(host: State) -> str:
        holds = INVARIANTS.get(variant.breaks)
        return variant.breaks if holds and not holds(host) else ""

    found = search(variant.protocol, variant.host, violated)
    print(f"{name}:\n{found}")
    assert found.broken == variant.breaks
    assert not search_real(variant.host).broken


ENDINGS = {
    "confirmed": lambda s: settled(s) and s.live.bundle == "B",
    "taken back by the kernel alone": lambda s: (
        s.kernel.word.expired(s.now) and s.live.bundle == "A"
    ),
    "reverted": lambda s: (
        settled(s) and s.now == 0 and s.files.generation == 2 and s.live.generation == 1
    ),
    "lost with the power, and the old one back": lambda s: (
        settled(s) and s.live.bundle == "A" and s.boot == 2
    ),
    "killed in the middle": lambda s: (
        not s.crashes and not s.lock and s.kernel.slots[0].entries == 2
    ),
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_the_model_gets_there(ending):
    """So that no invariant holds only because nothing ever happens."""
    host = HOSTS["one change, crash and loss of power"]
    assert search(REAL, host, lambda s: ending if ENDINGS[ending](s) else "").broken == ending


def test_every_invariant_is_broken_by_some_variant():
    assert {variant.breaks for variant in VARIANTS.values()} == {*INVARIANTS, PROGRESS}


def test_a_trace_is_shortest_and_readable():
    def count(n: int) -> list[tuple[str, int]]:
        return [("one more", n + 1), ("two more", n + 2)]

    found = explore(0, count, lambda n: "five" if n == 5 else "", lambda n: True)
    assert [what for what, _ in found.trace].count("two more") == 2
    assert [n for _, n in found.trace][-1] == 5
    assert len(found.trace) == 4


def test_a_dead_end_is_no_progress():
    found = explore(
        0, lambda n: [("on", 1), ("off", 2)] if n == 0 else [], lambda n: "", lambda n: n == 1
    )
    assert found.broken == PROGRESS
    assert [n for _, n in found.trace] == [0, 2]
