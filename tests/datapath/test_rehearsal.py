"""The way back walked on a control word of its own, with the real programs; and what it must not touch, or overlook."""

from __future__ import annotations

from ipaddress import ip_network

import pytest
from builders import bundle, rule
from conftest import OBJECT

from tcmicro_agent import abi
from tcmicro_agent.abi import Direction, Word
from tcmicro_agent.config import Config, Failsafe
from tcmicro_agent.datapath import rehearsal
from tcmicro_agent.errors import KernelError, RefusedError
from tcmicro_agent.inspection import Inspection, closed_by
from tcmicro_agent.policy.model import Direction as Way
from tcmicro_agent.policy.model import Protocol

FAILSAFE = (Failsafe(Way.INGRESS, Protocol.TCP, 22, ip_network("10.0.0.0/24")),)


@pytest.fixture
def two(datapath):
    """A policy that rules, and another slot with one that does not; the slots and their generations."""
    datapath.enforce(bundle(rule("p/http", "tcp/80")))
    datapath.enforce(bundle())
    word = datapath.kernel.control().word
    headers = datapath.kernel.headers()
    slots = (word.fallback, word.active)
    return datapath.kernel, slots, tuple(headers[slot].generation for slot in slots)


def contents(kernel) -> dict[str, object]:
    """Everything that a rehearsal could spoil."""
    control = kernel.control()
    return {
        "control": (control.word, control.jiffies, control.boot_ms),
        "headers": kernel.headers(),
        "counters": kernel.counters(),
        "sessions": kernel.sessions.counts(),
        "failsafe": kernel.failsafe(),
    }


def test_both_ways_back_are_walked_and_nothing_that_lives_is_touched(two):
    kernel, slots, generations = two
    before = contents(kernel)
    with rehearsal.stage(kernel, OBJECT) as stage:
        assert stage.walk_back(*slots, generations) >= 0
        answer = stage.ask(Direction.INGRESS, rehearsal.FRAME)
    assert answer.generation == generations[1]
    assert contents(kernel) == before


def test_a_rehearsal_of_the_first_policy_ends_in_none(datapath):
    kernel = datapath.kernel
    datapath.enforce(bundle())
    slot = kernel.control().word.active
    generation = kernel.headers()[slot].generation
    empty = next(n for n, header in enumerate(kernel.headers()) if not header.generation)
    with rehearsal.stage(kernel, OBJECT) as stage:
        stage.walk_back(slot, empty, (generation, 0))


@pytest.mark.parametrize("wrong", [0, 1])
def test_a_slot_that_is_not_what_it_should_be_is_found(two, wrong):
    kernel, slots, generations = two
    expected = [*generations]
    expected[wrong] += 100
    with (
        rehearsal.stage(kernel, OBJECT) as stage,
        pytest.raises(KernelError, match="rehearsal: "),
    ):
        stage.walk_back(*slots, tuple(expected))


def test_the_failsafe_is_asked_of_the_slot_that_does_not_rule_yet(two):
    kernel, slots, generations = two
    kernel.set_failsafe(frozenset(entry.key() for entry in FAILSAFE))
    with rehearsal.stage(kernel, OBJECT) as stage:
        stage.put(Word(slots[0], slots[1], 0))
        assert closed_by(stage.ask, FAILSAFE, generations[0]) == ""
        kernel.set_failsafe(frozenset())
        closed = closed_by(stage.ask, FAILSAFE, generations[0])
    assert closed == "ingress tcp/22 10.0.0.0/24 is refused (default_deny)"


@pytest.fixture
def examination(two):
    kernel, slots, _ = two
    kernel.set_failsafe(frozenset(entry.key() for entry in FAILSAFE))
    made = Inspection(kernel, lambda: Config(failsafe=FAILSAFE), OBJECT)
    made.rehearse(slots[1], slots[0])
    return kernel, made


def test_a_host_in_order(examination, two):
    kernel, made = examination
    assert made.fault(kernel.control().word, two[2][1], 0) == ""


def test_every_fault_is_named(two):
    kernel, slots, generations = two

    def examine(spoil, word=None) -> str:
        made = Inspection(kernel, lambda: Config(failsafe=FAILSAFE), OBJECT)
        kernel.set_failsafe(frozenset(entry.key() for entry in FAILSAFE))
        made.rehearse(slots[1], slots[0])
        spoil()
        return made.fault(word or kernel.control().word, generations[1], 0)

    def nothing() -> None: ...

    other = Word(slots[1], slots[0], 5)
    assert examine(nothing, other).startswith("control word: it is Word(")
    assert "is refused" in examine(lambda: kernel.set_failsafe(frozenset()))
    empty = bytes(abi.SLOT.size)
    kept = kernel.map("tcm_slots").get(abi.U32.pack(slots[1]))
    try:
        gone = examine(lambda: kernel.map("tcm_slots").put(abi.U32.pack(slots[1]), empty))
    finally:
        kernel.map("tcm_slots").put(abi.U32.pack(slots[1]), kept)
    assert gone == "control word: generation 0 rules"


def test_a_policy_that_would_close_the_failsafe_is_refused_before_it_rules(two):
    kernel, slots, _ = two
    kernel.set_failsafe(
        frozenset()
    )  # as if somebody had emptied it behind the configuration's back
    made = Inspection(kernel, lambda: Config(failsafe=FAILSAFE), OBJECT)
    with pytest.raises(RefusedError, match="would close the failsafe: ingress tcp/22"):
        made.rehearse(slots[1], slots[0])


def test_counters_that_do_not_move_are_a_fault(examination, monkeypatch):
    kernel, made = examination
    generation = kernel.headers()[kernel.control().word.active].generation
    monkeypatch.setattr(type(kernel.programs), "run_on", lambda *_: 0)
    fault = made.fault(kernel.control().word, generation, 0)
    assert fault == "counters: ingress, egress does not move"
