"""Rounds in which staged policies are tried: what is asked for, and which one follows."""

from __future__ import annotations

import pytest
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.journal import rounds
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.journal.rounds import Round
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.journal.states import JournalError

REQUEST = {"stage": 30, "share": [5, 25], "share_for": 20}


def after(done, outcome):
    return rounds.following(REQUEST, done, outcome)


def test_comparison_comes_first_then_every_share_then_the_change():
    compared = rounds.first(REQUEST)
    assert compared == Round(0, 30)
    assert after(compared, "pass") == ("again", Round(5, 20))
    assert after(Round(5, 20), "pass") == ("again", Round(25, 20))
    assert after(Round(25, 20), "pass")[0] == "judge"
    assert rounds.following({}, rounds.first({}), "pass")[0] == "judge"


@pytest.mark.parametrize(
    ("outcome", "extension", "step"),
    [
        ("fail", 0, "stop"),
        ("refused", 0, "stop"),
        ("error", 0, "again"),
        ("error", 1, "stop"),
        ("inconclusive", 1, "again"),
        ("inconclusive", 2, "stop"),
    ],
)
def test_round_that_is_not_well_is_repeated_or_is_the_last(outcome, extension, step):
    found, then = after(Round(5, 20, extension), outcome)
    assert found == step
    if step == "again":
        assert then == Round(5, 20, extension + 1)


def test_kernel_keeps_a_share_for_longer_than_it_is_watched():
    assert Round(5, 20).document()["lasts_s"] > 20


def test_request_is_read_as_numbers():
    said = {"stage": "5", "share": "[5,25]", "share_for": "9"}
    assert rounds.read(said, "policy") == {
        "stage": 5,
        "share": [5, 25],
        "share_for": 9,
        "expected_diffs": [],
    }


@pytest.mark.parametrize(
    "share", ["[5,", "[25,5]", "5,5", "0", "100", "[5.5]", "many", [True], {"a": 1}]
)
def test_impossible_share_is_refused(share):
    with pytest.raises(JournalError, match=r"share: .* is not allowed; .*; nothing was changed"):
        rounds.read({"share": share}, "policy")


@pytest.mark.parametrize("seconds", [-1, "soon", 3600, None])
def test_impossible_time_is_refused(seconds):
    with pytest.raises(JournalError, match="stage: .* are seconds from 0 to 3540"):
        rounds.read({"stage": seconds}, "policy")


def test_release_has_no_share():
    with pytest.raises(JournalError, match="a release judges no flows"):
        rounds.read({"share": [5]}, "release")


@pytest.mark.parametrize(
    ("expected", "says"),
    [
        ("@diffs.yml", "say -e @FILE"),
        ([{}], "entry 1: {} names nothing"),
        (["web"], "entry 1: 'web' names nothing"),
        ([{"peer": "web"}, {"ports": 80, "prot": "tcp"}], "entry 2: ports, prot is not one of"),
        ([{"change": "closed"}], "'closed' is neither allow_to_deny nor deny_to_allow"),
    ],
)
def test_expectation_that_would_explain_everything_is_refused(expected, says):
    with pytest.raises(JournalError) as raised:
        rounds.read({"expected_diffs": expected}, "policy")
    assert says in str(raised.value)
