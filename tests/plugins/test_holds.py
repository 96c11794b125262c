"""What people say to a rollout, and what it does in front of a wave."""

from __future__ import annotations

import pytest
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.journal.holding import approved_first
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.journal.holds import (
    Next,
    Said,
    Word,
    answer,
)
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.journal.states import JournalError


def said(*words):
    made = []
    for at, text in enumerate(words):
        word, _, wave = text.partition(" ")
        made.append(Said(Word(word), "ops", "why", int(wave or 0), float(at)))
    return made


@pytest.mark.parametrize(
    ("words", "wave", "approve", "expected"),
    [
        ((), 1, (), Next.GO),
        ((), 2, (2,), Next.WAIT),
        ((), 1, (2,), Next.GO),
        (("approve 2",), 2, (2,), Next.GO),
        (("approve 2",), 3, (2, 3), Next.WAIT),
        (("approve",), 3, (2, 3), Next.GO),
        (("pause",), 1, (), Next.WAIT),
        (("pause", "resume"), 1, (), Next.GO),
        (("resume", "pause"), 1, (), Next.WAIT),
        (("pause", "approve"), 2, (2,), Next.WAIT),
        (("pause", "resume"), 2, (2,), Next.WAIT),
        (("abort",), 1, (), Next.ABORT),
        (("abort", "resume", "approve"), 2, (2,), Next.ABORT),
        (("pause", "abort"), 1, (), Next.ABORT),
    ],
)
def test_what_is_done_in_front_of_a_wave(words, wave, approve, expected):
    found, why = answer(said(*words), wave, approve)
    assert found is expected
    assert bool(why) == (expected is not Next.GO)
    assert answer(reversed(said(*words)), wave, approve)[0] is expected  # the times decide


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, set()),
        ([], set()),
        ("", set()),
        ("[2]", {2}),
        ("2, 3", {2, 3}),
        ([2, "3"], {2, 3}),
        ("all", None),
    ],
)
def test_waves_to_approve_are_read_from_lists_and_text(value, expected):
    assert approved_first(value) == expected


@pytest.mark.parametrize("value", ["x", "0", "-1", "1.5", [True], "2,y"])
def test_what_is_no_wave_is_refused(value):
    with pytest.raises(JournalError, match="is not the number of a wave"):
        approved_first(value)
