"""The settlement table, whole."""

from __future__ import annotations

import pytest

from tcmicro_agent.errors import BundleError
from tcmicro_agent.transaction import SETTLEMENT, State, Transaction, Word, classify, parse, settle

PENDING = Transaction("id", "token", State.PENDING, 5, "d", 4, 1000, "boot")


def test_every_word_has_a_settlement():
    assert set(SETTLEMENT) == set(Word)


@pytest.mark.parametrize("word", list(Word))
def test_pending_follows_the_table(word):
    assert settle(PENDING, word, 1000).state is SETTLEMENT[word]


@pytest.mark.parametrize("state", [State.CONFIRMED, State.REVERTED])
@pytest.mark.parametrize("word", list(Word))
def test_final_states_are_final(state, word):
    assert settle(PENDING.ended(state), word, 2000).state is state


@pytest.mark.parametrize(
    ("generation", "pending", "expired", "word"),
    [
        (5, True, False, Word.ARMED),
        (5, False, True, Word.EXPIRED),
        (5, False, False, Word.COMMITTED),
        (4, True, False, Word.OTHER),
        (4, False, False, Word.OTHER),
        (0, False, False, Word.OTHER),
    ],
)
def test_classify(generation, pending, expired, word):
    seen = classify(PENDING, live_generation=generation, pending=pending, expired=expired)
    assert seen is word


def test_round_trip_and_damage():
    assert parse(PENDING.to_document()) == PENDING
    with pytest.raises(BundleError, match="state"):
        parse({**PENDING.to_document(), "state": "maybe"})
