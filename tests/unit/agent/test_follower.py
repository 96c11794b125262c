"""One follower of events at a time, and what it asked for lives no longer than it does."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tcmicro_agent import follower
from tcmicro_agent.abi import Reason
from tcmicro_agent.store import LockedError, Store, write_document


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path)


def test_asked_for_as_long_as_it_follows(store):
    assert follower.asked(store) == frozenset()
    with follower.alone(store, [Reason.SESSION, Reason.NON_IP]):
        assert follower.asked(store) == {Reason.SESSION, Reason.NON_IP}
    assert follower.asked(store) == frozenset()


def test_a_second_one_is_refused_and_told_who_follows(store):
    with (
        follower.alone(store, [Reason.SESSION]),
        pytest.raises(LockedError, match=f"process {os.getpid()} follows the events") as caught,
        follower.alone(store, []),
    ):
        pass
    assert caught.value.exit_code == 7
    assert follower.asked(store) == frozenset()
    with follower.alone(store, []):
        pass


def test_an_error_ends_it_too(store):
    with pytest.raises(ZeroDivisionError), follower.alone(store, [Reason.SESSION]):
        _ = 1 // 0
    assert follower.asked(store) == frozenset()


@pytest.mark.parametrize(
    "said",
    [
        {"pid": 2**22 + 1, "start": 1, "reasons": ["session"]},
        {"pid": os.getpid(), "start": 1, "reasons": ["session"]},
        {"pid": os.getpid()},
    ],
    ids=["dead", "pid-reused", "cut-short"],
)
def test_what_a_crashed_one_left_behind_counts_no_more(store, said):
    write_document(store.run / "follower.json", said)
    assert follower.asked(store) == frozenset()


def test_garbage_and_unknown_reasons_are_passed_over(store):
    with follower.alone(store, []):
        path = store.run / "follower.json"
        said = path.read_text()
        path.write_text(said.replace('"reasons": []', '"reasons": ["later", "dhcp"]'))
        assert follower.asked(store) == {Reason.DHCP}
        path.write_text("{")
        assert follower.asked(store) == frozenset()
