"""The control word: deadline, in-kernel revert, commit by compare and swap, latch."""

from __future__ import annotations

import time

import pytest
from builders import bundle, rule
from packets import tcp_packet

from tcmicro_agent import abi, tables
from tcmicro_agent.abi import TransitionResult, Word
from tcmicro_agent.datapath.clock import Clock
from tests.unit.protocol.transitions import TABLE, at

US, PEER = "10.0.0.1", "10.0.0.2"
boot_ms = Clock().boot_ms
PROBE = tcp_packet(PEER, 1000, US, 80)


@pytest.fixture
def armed(datapath):
    """Slot `before` allows, slot `after` refuses and is live for a moment."""
    datapath.enforce(bundle(rule("p/http", "tcp/80")))
    datapath.enforce(bundle())
    word = datapath.kernel.control().word
    datapath.forget_sessions()

    def arm(milliseconds: int) -> Word:
        pending = Word(word.active, word.fallback, boot_ms() + milliseconds)
        assert swap(datapath, word, pending) is TransitionResult.SWAPPED
        return pending

    return arm


def swap(datapath, expected: Word, desired: Word) -> TransitionResult:
    return datapath.kernel.transition(expected.encode(), desired.encode())


def test_the_kernel_takes_an_unconfirmed_policy_back(datapath, armed):
    pending = armed(200)
    assert not datapath.ingress(PROBE)
    while boot_ms() < pending.deadline_ms:
        time.sleep(0.01)
    assert datapath.ingress(PROBE)
    assert datapath.kernel.control().word == pending  # nobody wrote anything


def test_commit_in_time_keeps_it(datapath, armed):
    pending = armed(60_000)
    committed = Word(pending.active, pending.fallback, 0)
    assert swap(datapath, pending, committed) is TransitionResult.SWAPPED
    assert not datapath.ingress(PROBE)


def test_commit_too_late_is_refused_and_latched(datapath, armed):
    pending = armed(20)
    time.sleep(0.05)
    committed = Word(pending.active, pending.fallback, 0)
    assert swap(datapath, pending, committed) is TransitionResult.EXPIRED
    assert datapath.kernel.control().word == Word(pending.fallback, pending.fallback, 0)
    assert swap(datapath, pending, committed) is TransitionResult.CONFLICT
    assert datapath.ingress(PROBE)


def test_a_stale_writer_changes_nothing(datapath, armed):
    pending = armed(60_000)
    stale = Word(pending.fallback, 0, 0)
    assert swap(datapath, stale, Word(0, 0, 0)) is TransitionResult.CONFLICT
    assert datapath.kernel.control().word == pending


@pytest.fixture
def four_slots(datapath):
    """Slot n allows TCP port n + 1, and nothing else."""
    for slot in range(abi.SLOTS):
        policy = bundle(rule("p/own", f"tcp/{slot + 1}"))
        numbers = {uid: n for n, uid in enumerate(tables.rule_uids(policy), 1)}
        datapath.kernel.fill_slot(
            tables.encode(policy, slot=slot, generation=slot + 1, mode=policy.mode, numbers=numbers)
        )
    return datapath


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.title)
def test_every_transition_ends_as_the_table_says(four_slots, row):
    now = boot_ms()
    word, expected, desired, after = (
        at(w, now) for w in (row.word, row.expected, row.desired, row.after)
    )
    assert swap(four_slots, Word(0, 0, 0), word) is TransitionResult.SWAPPED
    assert swap(four_slots, expected, desired) is row.result
    assert four_slots.kernel.control().word == after
    open_ports = [
        port for port in range(1, 5) if four_slots.ingress(tcp_packet(PEER, 1000, US, port))
    ]
    assert open_ports == [row.live + 1]
