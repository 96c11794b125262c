"""What follows from a verdict, who goes back in which order, and what is said of a rollout at its end."""

from __future__ import annotations

from dataclasses import replace

import pytest
from ansible_collections.tcmicro.fleet.plugins.plugin_utils import course
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.journal.journal import HostRow, Record
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.journal.states import (
    Host,
    Rollout,
    Wave,
)

from tests.plugins.looks import UNREACHABLE, look, upgraded


def row(host, wave, state=Host.KEPT, failure="", **more):
    return HostRow(host, wave, state, "0.1.1", "0.1.0", look(), failure, **more)


ROWS = (row("db1", 1), row("web1", 2, Host.APPLIED), row("web2", 2, Host.APPLIED))


def record(*rows, state=Rollout.STOPPING, reason="web1: 2 restarts in 10 s", **more):
    known = {row.host: row for row in rows or ROWS}
    waves = {1: Wave.PASSED, 2: Wave.FAILED}
    values = ("r1", "release", "0.1.1", state, reason, {"bake": 10}, {}, waves, {1: 1, 2: 1})
    return Record(*values, known, **more)


@pytest.mark.parametrize(
    ("outcome", "looks", "following"),
    [
        ("pass", 1, "keep"),
        ("fail", 1, "stop"),
        ("inconclusive", 1, "judge"),
        ("inconclusive", 2, "judge"),
        ("inconclusive", 3, "stop"),
        ("error", 1, "judge"),
        ("error", 2, "stop"),
        ("something new", 1, "stop"),
    ],
)
def test_only_pass_goes_on(outcome, looks, following):
    assert course.after_verdict(outcome, looks) == following


def test_a_trial_outlasts_every_bake_there_may_be():
    assert course.trial_s(60) > 3 * 60


def test_sizes_are_read_from_groups_and_never_zero():
    groups = {"tcmicro_wave_1": ["a"], "tcmicro_wave_2": ["b", "c"], "tcmicro_wave": []}
    assert course.batches(groups, "tcmicro_wave") == [1, 2]
    assert course.batches({}, "tcmicro_wave") == [1]


@pytest.mark.parametrize(
    ("found", "state", "says"),
    [
        (look(), Host.RESTORED, ""),
        (UNREACHABLE, Host.LOST, "no contact"),
        (None, Host.LOST, "nothing was heard"),
        (upgraded(), Host.STUCK, "it runs release 0.1.1, wanted 0.1.0"),
        (look(service__active=False, service__state="failed"), Host.STUCK, "the service is failed"),
    ],
)
def test_a_host_attests_what_it_is_on(found, state, says):
    attested, text = course.attest(record(), ROWS[0], {"changed": True}, found)
    assert attested is state
    assert says in text


def test_a_command_that_failed_is_named_where_the_host_is_stuck():
    _, text = course.attest(record(), ROWS[0], {"failed": True, "msg": "no room"}, upgraded())
    assert text.endswith(": no room")


def test_summary_says_why_and_where_and_who():
    back = [replace(row, state=Host.RESTORED) for row in ROWS]
    assert course.summary(record(*back, state=Rollout.BACK)) == (
        "canary of 0.1.1 stopped in wave 2 of 2 by the gate: web1: 2 restarts in 10 s; "
        "touched: db1, web1, web2; restored to 0.1.0: db1, web1, web2; untouched: 0 hosts"
    )


def test_summary_never_assumes_that_a_host_is_restored():
    stuck = row("web1", 2, Host.STUCK, "it runs release 0.1.1, wanted 0.1.0")
    text = course.summary(record(row("db1", 1, Host.PLANNED), stuck, row("web2", 2)))
    assert "touched: web1, web2" in text
    assert "NOT restored: web1 (it runs release 0.1.1, wanted 0.1.0), web2 (kept)" in text
    assert text.endswith("untouched: 1 host")


def test_summary_lists_who_is_not_reached_and_expected_back_by_when():
    trial = row("web1", 2, Host.LOST, "no contact", back_by=1795270344.0)
    kept = row("db1", 1, Host.LOST, "no contact")
    assert (
        "NOT reached: db1 (no contact; it does not go back by itself), "
        "web1 (no contact; back by itself by 2026-11-21 14:12:24 UTC)"
    ) in course.summary(record(trial, kept))


def test_summary_of_a_halt_begins_with_it():
    text = course.summary(record(state=Rollout.HALTED))
    assert text.startswith("TAKING BACK WAS HALTED")


def test_summary_without_a_reason_does_not_invent_one():
    assert "did not come to a verdict" in course.summary(record(reason="", state=Rollout.RUNNING))


def test_summary_of_success():
    passed = replace(record(), waves={1: Wave.PASSED, 2: Wave.PASSED}, state=Rollout.DONE)
    assert course.summary(passed).startswith("rollout of 0.1.1 done: 3 hosts in 2 waves")


@pytest.mark.parametrize(
    ("state", "left", "end"),
    [
        (Rollout.STOPPING, Host.RESTORED, Rollout.BACK),
        (Rollout.STOPPING, Host.LOST, Rollout.INCOMPLETE),
        (Rollout.HALTED, Host.STUCK, Rollout.HALTED),
    ],
)
def test_the_end_is_only_good_when_everybody_is_back(state, left, end):
    assert course.ended(record(row("db1", 1, left), state=state)) is end
