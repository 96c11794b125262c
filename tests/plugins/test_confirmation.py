"""A policy is confirmed over a new connection, or the host is asked what became of it."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.confirmation import (
    GRACE_S,
    Clock,
    ConnectionLostError,
    make_live,
)

NEW, OLD = "n" * 64, "o" * 64
APPLIED = {
    "changed": True,
    "generation": 4,
    "digest": NEW,
    "transaction": {"id": "t1", "token": "secret", "deadline_in_s": 20},
}


@dataclass
class Host:
    """Answers by script; `silent` gives the times between which it cannot be reached."""

    silent: tuple[float, float] = (0, 0)
    applied: dict = field(default_factory=lambda: dict(APPLIED))
    confirms: list = field(
        default_factory=lambda: [{"changed": True, "generation": 4, "digest": NEW}]
    )
    live: tuple[int, str] = (3, OLD)
    pending_until: float = 0
    lost_apply: bool = False
    time: float = 0
    asked: list = field(default_factory=list)

    def ask(self, operation, more):
        self.asked.append(operation)
        if operation == "apply":
            if self.lost_apply:
                raise ConnectionLostError("silence")
            return self.applied
        self.time += 0.5
        if self.silent[0] <= self.time < self.silent[1]:
            self.time += 3
            raise ConnectionLostError("silence")
        return self.confirm(more) if operation == "confirm" else self.status()

    def confirm(self, more):
        assert more["transaction"] == APPLIED["transaction"]
        return self.confirms.pop(0) if len(self.confirms) > 1 else self.confirms[0]

    def status(self):
        pending = self.time < self.pending_until
        generation, digest = (4, NEW) if pending else self.live
        state = "pending" if pending else "reverted"
        return {
            "policy": {"generation": generation, "digest": digest},
            "transaction": {"state": state, "digest": NEW},
        }

    def sleep(self, seconds):
        self.time += seconds


def run(host):
    return make_live("db1", NEW, 20, host.ask, Clock(now=lambda: host.time, sleep=host.sleep))


def test_confirmed_over_one_new_connection():
    host = Host()
    result = run(host)
    assert host.asked == ["apply", "confirm"]
    assert (result["changed"], result.get("failed"), result["transaction"]) == (True, None, None)


def test_nothing_pending_needs_no_confirmation():
    host = Host(applied={"changed": False, "digest": NEW, "transaction": None})
    assert run(host)["changed"] is False
    assert host.asked == ["apply"]


def test_refused_bundle_is_the_agents_word():
    host = Host(applied={"failed": True, "msg": "tc-micro policy apply was given invalid input: x"})
    assert run(host)["msg"].endswith("invalid input: x")
    assert host.asked == ["apply"]


def test_short_silence_is_outlived():
    host = Host(silent=(0, 6))
    assert not run(host).get("failed")


def test_busy_agent_is_asked_again():
    busy = {"failed": True, "code": 7, "msg": "busy"}
    host = Host(confirms=[busy, busy, {"changed": True, "generation": 4, "digest": NEW}])
    assert not run(host).get("failed")
    assert host.asked.count("confirm") == 3


def test_no_new_connection_until_the_kernel_took_it_back():
    host = Host(silent=(0, 21))
    result = run(host)
    assert result["failed"] is True
    assert result["changed"] is False
    assert (result["restored"], result["generation"], result["digest"]) == (True, 3, OLD)
    assert result["msg"] == (
        "db1: generation 4, bundle nnnnnnnnnnnn: no new connection within 20 s; "
        "the kernel restored generation 3 (bundle oooooooooooo); nothing is lost"
    )


def test_refused_confirmation_waits_for_the_outcome():
    refused = {"failed": True, "code": 3, "msg": "refused: wrong token"}
    host = Host(confirms=[refused], pending_until=15)
    result = run(host)
    assert "not confirmed: refused: wrong token" in result["msg"]
    assert result["restored"] is True


def test_contact_lost_while_applying_is_evidence():
    host = Host(lost_apply=True, silent=(0, 21))
    result = run(host)
    assert result["failed"] is True
    assert "confirm" not in host.asked
    assert (
        "contact was lost while it was made live; the kernel restored generation 3" in result["msg"]
    )


def test_first_policy_that_was_taken_back_leaves_none():
    host = Host(silent=(0, 21), live=(0, ""))
    assert "the kernel restored no policy, as before" in run(host)["msg"]


def test_waiting_is_bounded_and_nothing_is_assumed():
    host = Host(silent=(0, 10_000))
    result = run(host)
    assert result["restored"] is None
    assert "it does not answer" in result["msg"]
    assert host.time < 20 + GRACE_S + 10


@pytest.mark.parametrize("word", ["failed", "msg", "restored"])
def test_lost_answer_to_a_confirmation_is_told_apart(word):
    host = Host(silent=(0, 21), live=(4, NEW))
    result = run(host)
    assert word in result
    assert "reports it confirmed" in result["msg"]
    assert result["restored"] is False
