"""What a resumed rollout does with each host: a row for every pair of what was intended and what the host says."""

from __future__ import annotations

import pytest
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.journal.observation import (
    Observation,
    Seen,
    observe,
)
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.journal.reconcile import (
    TABLE,
    Do,
    decide,
)
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.journal.states import Host

from tests.plugins.looks import UNREACHABLE, look, upgraded


def trial(state="pending", version="0.1.1", left=200.0, cause=""):
    return {"version": version, "state": state, "deadline_in_s": left, "cause": cause}


def release(found):
    return observe("release", "0.1.1", "0.1.0", found)


@pytest.mark.parametrize(
    ("found", "seen"),
    [
        (look(), Seen.OLD),
        (upgraded(), Seen.NEW),
        (upgraded(transaction=trial("confirmed")), Seen.NEW),
        (upgraded(transaction=trial()), Seen.TENTATIVE),
        (look(transaction=trial("reverted")), Seen.REVERTED),
        (look(transaction=trial("reverted", version="0.0.9")), Seen.OLD),
        (upgraded("0.2.0"), Seen.OTHER),
        (upgraded("0.2.0", transaction=trial(version="0.2.0")), Seen.FOREIGN),
        (UNREACHABLE, Seen.UNREACHABLE),
        (None, Seen.UNREACHABLE),
        ({"failed": True, "msg": "no python"}, Seen.UNREACHABLE),
    ],
)
def test_a_host_is_read_in_the_terms_of_the_rollout(found, seen):
    assert release(found).seen is seen


def test_a_host_that_had_the_release_before_has_what_it_had():
    assert observe("release", "0.1.0", "0.1.0", look()).seen is Seen.OLD


@pytest.mark.parametrize(
    ("digest", "transaction", "seen"),
    [
        ("ab12", None, Seen.OLD),
        ("cd34", None, Seen.NEW),
        ("cd34", {"digest": "cd34", "state": "pending", "deadline_in_s": 9}, Seen.TENTATIVE),
        ("cd34", {"digest": "cd34", "state": "leased", "deadline_in_s": 9}, Seen.TENTATIVE),
        ("ee99", {"digest": "ee99", "state": "leased", "deadline_in_s": 9}, Seen.FOREIGN),
        ("ab12", {"digest": "cd34", "state": "reverted"}, Seen.REVERTED),
        ("ee99", None, Seen.OTHER),
    ],
)
def test_policies_are_read_the_same_way(digest, transaction, seen):
    found = look(status__policy__digest=digest, status__transaction=transaction)
    assert observe("policy", "cd34", "ab12", found).seen is seen


def test_every_pair_has_a_row():
    assert set(TABLE) == {(state, seen) for state in Host for seen in Seen}


@pytest.mark.parametrize(
    ("state", "seen", "do"),
    [
        (Host.PLANNED, Seen.OLD, Do.APPLY),
        (Host.APPLYING, Seen.OLD, Do.APPLY),
        (Host.APPLYING, Seen.TENTATIVE, Do.ADOPT),
        (Host.APPLYING, Seen.REVERTED, Do.RETRY),
        (Host.APPLIED, Seen.OLD, Do.RETRY),
        (Host.KEEPING, Seen.TENTATIVE, Do.KEEP),
        (Host.KEEPING, Seen.NEW, Do.KEPT),
        (Host.KEPT, Seen.OTHER, Do.STOP),
        (Host.TAKING_BACK, Seen.NEW, Do.BACK),
        (Host.TAKING_BACK, Seen.OLD, Do.RESTORED),
        (Host.APPLIED, Seen.UNREACHABLE, Do.LOST),
        (Host.APPLIED, Seen.FOREIGN, Do.STOP),
    ],
)
def test_rows_that_matter(state, seen, do):
    assert decide(state, Observation(seen, left_s=100), retries=0, needs_s=60).do is do


def test_nothing_that_is_there_is_applied_again():
    there = {do for (_, seen), do in TABLE.items() if seen in (Seen.TENTATIVE, Seen.NEW)}
    assert not there & {Do.APPLY, Do.RETRY}


def test_a_trial_that_ends_before_its_bake_is_begun_again():
    short = Observation(Seen.TENTATIVE, left_s=59)
    assert decide(Host.APPLIED, short, retries=0, needs_s=60).do is Do.AGAIN
    assert decide(Host.KEEPING, short, retries=0, needs_s=60).do is Do.KEEP


def test_a_second_loss_counts_as_failed():
    found = Observation(Seen.REVERTED, cause="nobody confirmed it in time")
    assert decide(Host.APPLIED, found, retries=0, needs_s=60).do is Do.RETRY
    assert decide(Host.APPLIED, found, retries=1, needs_s=60).do is Do.LOST


def test_a_stop_says_what_was_meant_and_what_is_there():
    found = Observation(Seen.OTHER, runs="0.2.0")
    assert decide(Host.APPLIED, found, retries=0, needs_s=60).why == (
        "it was applied and has something else (0.2.0)"
    )
