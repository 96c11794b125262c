"""Applying, confirming, reverting; and the same cut after every single write."""

from __future__ import annotations

import pytest
from builders import bundle, rule
from fakes import CutError, FakeClock, FakeKernel

from tcmicro_agent import upkeep
from tcmicro_agent.abi import Control, Word
from tcmicro_agent.abi import Mode as KernelMode
from tcmicro_agent.datapath.kernel import NEVER
from tcmicro_agent.errors import KernelError, RefusedError
from tcmicro_agent.policy.bundle import digest
from tcmicro_agent.policy.model import Mode
from tcmicro_agent.reconcile import Agent, TakenBackError, effective_mode
from tcmicro_agent.store import Books, Store, write_document
from tcmicro_agent.tables import Tables
from tcmicro_agent.transaction import State

OLD = bundle(rule("p/ssh", "tcp/22"), endpoints={"10.0.0.1": 1})
NEW = bundle(rule("p/web", "tcp/80"), endpoints={"10.0.0.1": 1})


class CrowdedKernel(FakeKernel):
    """Between the second and the third look at the word the deadline passes, and somebody samples the clock."""

    looks = 0

    def control(self) -> Control:
        self.looks += 1
        if self.looks == 3:
            self._clock.pass_seconds(61)
            self.transition(NEVER, NEVER)
        return super().control()


class HurriedStore(Store):
    """Somebody else is faster to the lock, once."""

    def __init__(self, root, hurry) -> None:
        super().__init__(root)
        self._hurry = [hurry]

    def lock(self):
        for change in self._hurry:
            self._hurry = []
            change()
        return super().lock()


class FullDisk(Store):
    """Takes no books that confirm anything."""

    def save_books(self, books: Books) -> None:
        if books.confirmed != self.books().confirmed:
            raise CutError
        super().save_books(books)


def live(agent) -> str:
    return agent.observe().live.digest


def test_apply_for_good(agent):
    outcome = agent.apply(OLD)
    assert outcome.changed
    assert live(agent) == digest(OLD)
    assert agent.store.books().confirmed.digest == digest(OLD)
    assert agent.store.bundle(digest(OLD)) == OLD


def test_the_same_bundle_again_changes_nothing(agent):
    agent.apply(OLD)
    word = agent.kernel.word
    again = agent.apply(OLD, confirm_within=60)
    assert (again.changed, again.ops, again.transaction) == (False, (), None)
    assert agent.kernel.word == word


class Spoilt(FakeKernel):
    """Does not hold what was written."""

    def __init__(self, clock: FakeClock, spoil) -> None:
        super().__init__(clock)
        self._spoil = spoil

    def fill_slot(self, tables: Tables) -> None:
        super().fill_slot(tables)
        self._spoil(self.maps["tcm_rules"])


def lose(content: dict[bytes, bytes]) -> None:
    content.popitem()


def alter(content: dict[bytes, bytes]) -> None:
    first, second = list(content)[:2]
    content[first], content[second] = content[second], content[first]


def add(content: dict[bytes, bytes]) -> None:
    key = bytearray(next(iter(content)))
    key[0] ^= 0xFF
    content[bytes(key)] = content[bytes(next(iter(content)))]


@pytest.mark.parametrize("spoil", [lose, alter, add])
def test_a_slot_that_reads_back_otherwise_is_not_made_live(clock, tmp_path, spoil):
    kernel = Spoilt(clock, spoil)
    agent = Agent(kernel, Store(tmp_path), clock)
    policy = bundle(rule("p/a", "tcp/22"), rule("p/b", "tcp/80"), endpoints={"10.0.0.1": 1})
    with pytest.raises(KernelError, match=r"slot 1 does not hold what was written to tcm_rules \("):
        agent.apply(policy)
    assert kernel.word == Word(0, 0, 0)
    assert not any(kernel.maps.values())


def test_counters_of_rules_that_the_way_back_needs_are_kept(agent):
    agent.apply(OLD)
    agent.apply(NEW)
    numbers = agent.store.books().numbers
    assert {"p/ssh", "p/web"} <= numbers.keys()
    agent.apply(bundle(rule("p/web", "tcp/81"), endpoints={"10.0.0.1": 1}))
    agent.apply(NEW)
    assert "p/ssh" not in agent.store.books().numbers
    assert agent.store.books().numbers["p/web"] == numbers["p/web"]


def test_dry_run_says_what_it_would_do_and_does_nothing(agent, kernel):
    kernel.writes_left = 0
    outcome = agent.apply(OLD, confirm_within=60, dry_run=True)
    assert outcome.changed
    assert any("make slot 1 live" in op for op in outcome.ops)
    assert agent.store.books().generation == 0


def test_confirmed_change_stays(agent, clock):
    agent.apply(OLD)
    pending = agent.apply(NEW, confirm_within=60).transaction
    assert agent.confirm(pending.id, pending.token).changed
    clock.pass_seconds(120)
    assert live(agent) == digest(NEW)
    assert agent.store.books().previous.digest == digest(OLD)
    assert not agent.confirm(pending.id, pending.token).changed


def test_unconfirmed_change_is_taken_back_without_anybody(agent, clock):
    agent.apply(OLD)
    pending = agent.apply(NEW, confirm_within=60).transaction
    assert live(agent) == digest(NEW)
    clock.pass_seconds(60)
    assert live(agent) == digest(OLD)
    assert agent.transaction().state is State.REVERTED
    with pytest.raises(TakenBackError, match="restored generation 1"):
        agent.confirm(pending.id, pending.token)
    assert agent.store.transaction().state is State.REVERTED
    assert agent.store.books().confirmed.digest == digest(OLD)
    assert live(agent) == digest(OLD)


def test_late_confirm_after_another_change_cannot_bring_it_back(agent, clock):
    agent.apply(OLD)
    pending = agent.apply(NEW, confirm_within=60).transaction
    clock.pass_seconds(61)
    agent.apply(bundle())
    with pytest.raises(TakenBackError):
        agent.confirm(pending.id, pending.token)
    assert live(agent) == digest(bundle())


@pytest.mark.parametrize("fault", ["token", "id"])
def test_forged_confirm_is_refused(agent, fault):
    pending = agent.apply(OLD, confirm_within=60).transaction
    identity = "00000000" if fault == "id" else pending.id
    token = "0" * 32 if fault == "token" else pending.token
    with pytest.raises(RefusedError):
        agent.confirm(identity, token)
    assert agent.transaction().state is State.PENDING


def test_one_change_at_a_time(agent):
    agent.apply(OLD, confirm_within=60)
    with pytest.raises(RefusedError, match="waiting to be confirmed, 60 s left"):
        agent.apply(NEW)


def test_revert_at_once(agent):
    agent.apply(OLD)
    agent.apply(NEW, confirm_within=60)
    assert agent.revert().digest == digest(OLD)
    assert agent.store.transaction().state is State.REVERTED
    with pytest.raises(RefusedError):
        agent.revert()


def test_what_was_taken_back_just_now_is_not_built_over(agent, kernel):
    agent.apply(OLD)
    agent.apply(NEW, confirm_within=60)
    left = kernel.word.active
    agent.revert()
    agent.apply(bundle())
    assert kernel.slots[left].digest == digest(NEW)


def test_reboot_while_pending_counts_as_taken_back(agent, kernel, clock):
    agent.apply(OLD)
    agent.apply(NEW, confirm_within=60)
    kernel.boot()
    clock.boot = "boot-2"
    assert agent.settle().state is State.REVERTED
    assert agent.store.books().confirmed.digest == digest(OLD)


def test_host_ceiling_weakens_and_never_strengthens(agent):
    write_document(agent.store.etc / "agent.json", {"mode": "monitor"})
    agent.apply(OLD)
    assert agent.observe().live.mode is KernelMode.MONITOR
    assert [effective_mode(a, b) for a in Mode for b in Mode].count(Mode.PROTECT) == 1


@pytest.mark.parametrize("confirm_within", [0, 60])
def test_cut_after_any_write_the_old_policy_rules_and_a_retry_converges(
    agent, kernel, clock, confirm_within
):
    agent.apply(OLD)
    for writes in range(50):
        kernel.writes_left = writes
        try:
            pending = agent.apply(NEW, confirm_within=confirm_within).transaction
        except CutError:
            kernel.writes_left = None
            assert live(agent) == digest(OLD)
            clock.pass_seconds(61)
            assert agent.settle() is None or agent.settle().state is not State.PENDING
            continue
        break
    kernel.writes_left = None
    assert writes > 5
    if pending:
        agent.confirm(pending.id, pending.token)
    assert live(agent) == digest(NEW)
    assert agent.store.books().confirmed.digest == digest(NEW)


def test_cut_between_commit_and_the_books_rolls_forward(agent, kernel, monkeypatch):
    agent.apply(OLD)
    pending = agent.apply(NEW, confirm_within=60).transaction
    kernel.transition(kernel.word.encode(), kernel.word.encode() & 0xFF)
    assert agent.store.transaction().state is State.PENDING
    assert agent.settle().state is State.CONFIRMED
    assert agent.store.books().confirmed.generation == pending.generation


def test_cut_between_the_flip_and_the_books_rolls_forward(agent, tmp_path):
    agent.apply(OLD)
    with pytest.raises(CutError):
        Agent(agent.kernel, FullDisk(tmp_path), agent.clock).apply(NEW)
    assert live(agent) == digest(NEW)
    assert agent.store.books().confirmed.digest == digest(OLD)
    assert not agent.apply(NEW).changed
    assert agent.store.books().confirmed.digest == digest(NEW)
    assert agent.store.books().previous.digest == digest(OLD)


def test_who_returned_to_the_policy_before_has_none_to_go_back_to(agent):
    for applied in (OLD, NEW, OLD):
        agent.apply(applied)
    assert agent.store.books().confirmed.digest == digest(OLD)
    assert agent.store.books().previous is None
    agent.apply(NEW)
    assert agent.store.books().previous.digest == digest(OLD)


def test_the_daemon_rolls_forward_too(agent, tmp_path):
    agent.apply(OLD)
    with pytest.raises(CutError):
        Agent(agent.kernel, FullDisk(tmp_path), agent.clock).apply(NEW)
    assert upkeep.settle(agent) == ["generation 2 rules for good: recorded"]
    assert agent.store.books().confirmed.generation == 2
    assert upkeep.settle(agent) == []


def test_confirm_whose_deadline_passes_meanwhile_is_late(agent, tmp_path):
    agent.apply(OLD)
    pending = agent.apply(NEW, confirm_within=60).transaction
    crowded = CrowdedKernel(agent.clock)
    crowded.word, crowded.slots = agent.kernel.word, agent.kernel.slots
    with pytest.raises(TakenBackError):
        Agent(crowded, agent.store, agent.clock).confirm(pending.id, pending.token)
    assert agent.store.books().confirmed.digest == digest(OLD)
    assert agent.store.transaction().state is State.REVERTED


def test_the_confirmed_bundle_comes_back_after_a_reboot(agent, kernel, clock):
    agent.apply(OLD)
    agent.apply(NEW)
    kernel.boot()
    clock.boot = "boot-2"
    assert agent.restore(Mode.PROTECT).digest == live(agent) == digest(NEW)
    assert agent.store.books().previous.digest == digest(OLD)
    assert agent.restore(Mode.PROTECT) is None


def test_restoring_does_not_undo_what_was_applied_meanwhile(agent, kernel, clock, tmp_path):
    agent.apply(OLD)
    kernel.boot()
    daemon = Agent(kernel, HurriedStore(tmp_path, lambda: agent.apply(NEW)), clock)
    assert daemon.restore(Mode.PROTECT) is None
    assert live(agent) == agent.store.books().confirmed.digest == digest(NEW)


def test_a_ceiling_that_is_not_in_the_file_yet_is_no_news(agent):
    agent.apply(OLD)
    write_document(agent.store.etc / "agent.json", {"mode": "protect"})
    assert agent.restore(Mode.MONITOR) is None
