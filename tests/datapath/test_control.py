"""The control word: deadline, in-kernel revert, commit by compare and swap, latch."""

from __future__ import annotations

import time

import pytest
from builders import bundle, rule
from packets import tcp_packet

from tcmicro_agent.abi import TransitionResult, Word
from tcmicro_agent.datapath.clock import Clock

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
