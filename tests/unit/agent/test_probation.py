"""Leases, epochs, evidence and the looks at the host, on a kernel in memory; each step of a change with every fault."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count

import pytest
from builders import bundle, rule
from fakes import CutError, CutStore

from tcmicro_agent import probation, store
from tcmicro_agent.errors import KernelError, RefusedError, StoreError
from tcmicro_agent.evidence import Requirement
from tcmicro_agent.policy.bundle import digest
from tcmicro_agent.policy.model import Mode
from tcmicro_agent.reconcile import Agent, TakenBackError
from tcmicro_agent.transaction import State

OLD = bundle(rule("p/ssh", "tcp/22"), endpoints={"10.0.0.1": 1})
NEW = bundle(rule("p/web", "tcp/80"), endpoints={"10.0.0.1": 1})


@pytest.fixture
def agent(kernel, clock, tmp_path):
    return Agent(kernel, CutStore(tmp_path, kernel), clock)


def live(agent) -> str:
    return agent.observe().live.digest


def arm(agent, **how):
    agent.apply(OLD)
    pending = agent.apply(NEW, confirm_within=60, **how).transaction
    return pending.id, pending.token


# --- before and after the flip ---


def test_a_way_back_that_does_not_work_is_found_before_anything_is_armed(agent, examiner):
    agent.apply(OLD)
    examiner.way_back = KernelError("rehearsal: generation 2 rules where 1 should")
    with pytest.raises(KernelError, match="rehearsal"):
        agent.apply(NEW, confirm_within=60)
    assert live(agent) == digest(OLD)
    assert agent.store.transaction() is None


@pytest.mark.parametrize(("took_ms", "fits"), [(16_600, True), (16_700, False)])
def test_the_deadline_leaves_room_for_three_ways_back_and_ten_seconds(
    agent, examiner, took_ms, fits
):
    examiner.took_ms = took_ms
    agent.apply(OLD)
    if fits:
        assert agent.apply(NEW, confirm_within=60).transaction
        return
    with pytest.raises(RefusedError, match=r"60\.0 s are left .* at least 60\.1 s are needed"):
        agent.apply(NEW, confirm_within=60)
    assert live(agent) == digest(OLD)


@pytest.mark.parametrize("wrong", ["attachment: no program of ours on eth0", KernelError("gone")])
def test_what_is_amiss_after_the_flip_is_not_left_until_the_deadline(agent, examiner, wrong):
    agent.apply(OLD)
    examiner.wrong = wrong
    with pytest.raises(TakenBackError, match=f"generation 2 was taken back at once: {wrong}"):
        agent.apply(NEW, confirm_within=60)
    assert live(agent) == digest(OLD)
    assert agent.store.transaction().state is State.REVERTED
    examiner.wrong = ""
    assert agent.apply(NEW, confirm_within=60).changed


def test_a_change_for_good_is_nobodys_to_examine(agent, examiner):
    examiner.wrong = "no"
    assert agent.apply(OLD).changed


# --- leases ---


def test_a_lease_lapses_by_itself(agent, clock):
    ticket = arm(agent)
    leased = agent.confirm(*ticket, lease=900)
    assert (leased.changed, leased.transaction.state) == (True, State.LEASED)
    clock.pass_seconds(899)
    assert live(agent) == digest(NEW)
    assert agent.store.books().confirmed.digest == digest(OLD)
    clock.pass_seconds(1)
    assert live(agent) == digest(OLD)
    for late in (probation.commit, lambda *a: probation.renew(*a[:3], 60, None)):
        with pytest.raises(TakenBackError):
            late(agent, *ticket, None)


def test_a_lease_is_renewed_and_committed(agent, clock):
    ticket = arm(agent)
    agent.confirm(*ticket, lease=100)
    for _ in range(5):
        clock.pass_seconds(90)
        assert probation.renew(agent, *ticket, 100, None).changed
    assert probation.commit(agent, *ticket, None).changed
    clock.pass_seconds(1000)
    assert live(agent) == digest(NEW)
    assert agent.store.books().confirmed.digest == digest(NEW)
    assert not probation.commit(agent, *ticket, None).changed
    assert not probation.renew(agent, *ticket, 100, None).changed
    assert not agent.confirm(*ticket, lease=100).changed


def test_what_is_not_confirmed_is_neither_renewed_nor_committed(agent):
    ticket = arm(agent)
    for verb in (probation.commit, lambda a, *t: probation.renew(a, *t[:2], 60, None)):
        with pytest.raises(RefusedError, match="not confirmed yet"):
            verb(agent, *ticket, None)


def test_confirming_a_lease_twice_changes_nothing_and_does_not_commit(agent):
    ticket = arm(agent)
    agent.confirm(*ticket, lease=100)
    assert not agent.confirm(*ticket, lease=200).changed
    with pytest.raises(RefusedError, match="policy commit"):
        agent.confirm(*ticket)
    assert agent.transaction().state is State.LEASED


def test_a_lease_can_be_taken_back(agent):
    ticket = arm(agent)
    agent.confirm(*ticket, lease=100)
    assert agent.revert().digest == digest(OLD)
    with pytest.raises(TakenBackError):
        probation.commit(agent, *ticket, None)


@pytest.mark.parametrize(("left", "refused"), [(2.5, False), (1.5, True)])
def test_shortly_before_the_deadline_nothing_is_confirmed(agent, clock, left, refused):
    ticket = arm(agent)
    clock.pass_seconds(60 - left)
    if refused:
        with pytest.raises(RefusedError, match=r"1\.5 s are left, at least 2"):
            agent.confirm(*ticket)
    else:
        assert agent.confirm(*ticket).changed


# --- who may, and what has to be shown ---


def test_epochs_only_grow_and_outlast_a_boot(agent, kernel, clock):
    ticket = arm(agent)
    probation.fence(agent.store, 5)
    kernel.boot()
    clock.boot = "boot-2"
    again = Agent(kernel, store.Store(agent.store.var.parents[2]), clock)
    for epoch in (4, 0):
        with pytest.raises(RefusedError, match=f"epoch {epoch} is over: a controller of epoch 5"):
            probation.renew(again, *ticket, 60, epoch)
    probation.fence(again.store, 5)
    probation.fence(again.store, None)
    probation.fence(again.store, 9, dry_run=True)
    assert again.store.epoch() == 5


def test_a_refused_controller_changes_nothing(agent):
    ticket = arm(agent)
    probation.fence(agent.store, 5)
    with pytest.raises(RefusedError):
        agent.confirm(*ticket, admit=lambda: probation.fence(agent.store, 4))
    assert agent.transaction().state is State.PENDING


def test_what_a_confirmation_has_to_show_is_kept_with_the_transaction(agent):
    ticket = arm(agent, evidence=Requirement.REQUIRED)
    assert agent.store.transaction().evidence is Requirement.REQUIRED
    accept = probation.Acceptance(agent, agent.store.config(), find=lambda: None)
    with pytest.raises(RefusedError, match="did not come by ssh"):
        agent.confirm(*ticket, accept=accept)
    assert agent.transaction().state is State.PENDING


# --- every step, every fault ---


def power(agent) -> None:
    agent.kernel.boot()
    agent.clock.boot += "+"


def nothing(_) -> None:
    """The process is gone, the host goes on."""


def hours_on_the_wall(agent) -> None:
    agent.clock.wall += 36_000


STEPS: dict[str, Callable[[Agent, tuple[str, str]], object]] = {
    "confirm": lambda agent, ticket: agent.confirm(*ticket),
    "confirm to lease": lambda agent, ticket: agent.confirm(*ticket, lease=60),
    "renew": lambda agent, ticket: probation.renew(agent, *ticket, 60, None),
    "commit": lambda agent, ticket: probation.commit(agent, *ticket, None),
    "revert": lambda agent, _: agent.revert(),
}
FAULTS = {"kill -9": nothing, "reboot": power, "the wall clock jumps": hours_on_the_wall}
LEASED = ("renew", "commit")
GOOD = ("confirm", "commit")


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("step", STEPS)
def test_a_step_that_is_cut_at_any_write_ends_in_the_old_or_the_new_policy(
    kernel, clock, tmp_path, step, fault
):
    """Before the swap in the kernel it has not happened, after it it has; a reboot keeps what the books say. Left alone
    for longer than any lease, the host settles by itself."""
    for writes in count():
        host = Agent(kernel, CutStore(tmp_path / str(writes), kernel), clock)
        kernel.boot()
        ticket = arm(host)
        if step in LEASED:
            host.confirm(*ticket, lease=60)
        kernel.writes_left, cut = writes, False
        try:
            STEPS[step](host, ticket)
        except CutError:
            cut = True
        kernel.writes_left = None
        swapped = not kernel.word.pending
        FAULTS[fault](host)
        settle(host, clock)
        expected = expected_after(step, fault, cut=cut, swapped=swapped)
        assert live(host) == host.store.books().confirmed.digest
        assert live(host) in {digest(policy) for policy in expected}
        assert not host.transaction().open
        if not cut:
            break
    assert writes >= 2


def settle(host, clock) -> None:
    host.settle()
    host.restore(Mode.PROTECT)
    clock.pass_seconds(200)
    host.settle()
    host.restore(Mode.PROTECT)


def expected_after(step, fault, *, cut, swapped):
    """A reboot after the swap may end either way: by whether the books had it already."""
    if step not in GOOD or not swapped:
        return [OLD]
    return [OLD, NEW] if cut and fault == "reboot" else [NEW]


@pytest.mark.parametrize("fault", [*FAULTS, "error"])
@pytest.mark.parametrize("evidence", list(Requirement))
def test_making_it_live_that_is_cut_at_any_write_ends_in_the_old_policy(
    kernel, clock, tmp_path, fault, evidence
):
    """Rehearsal, transaction, flip, examination: whatever is cut, nobody confirms it."""
    for writes in count():
        host = Agent(kernel, CutStore(tmp_path / str(writes), kernel), clock)
        kernel.boot()
        host.apply(OLD)
        kernel.writes_left, cut = writes, False
        try:
            host.apply(NEW, confirm_within=60, evidence=evidence)
        except CutError:
            cut = True
        kernel.writes_left = None
        FAULTS.get(fault, nothing)(host)
        settle(host, clock)
        assert live(host) == host.store.books().confirmed.digest == digest(OLD)
        assert host.apply(NEW, confirm_within=60).changed
        assert live(host) == digest(NEW)
        if not cut:
            break
    assert writes > 8


def test_a_connection_that_is_there_before_the_flip_was_noted_confirms_nothing(agent, examiner):
    """Cut between the flip and the note of it: nobody knows what came first."""
    agent.apply(OLD)

    def cut(*_: object) -> str:
        raise CutError

    examiner.fault = cut
    with pytest.raises(CutError):
        agent.apply(NEW, confirm_within=60, evidence=Requirement.SSH)
    found = agent.store.transaction()
    assert (live(agent), found.flipped_ms) == (digest(NEW), 0)


@pytest.mark.parametrize("step", STEPS)
def test_a_step_that_was_cut_may_be_repeated(kernel, clock, tmp_path, step):
    for writes in count():
        host = Agent(kernel, CutStore(tmp_path / str(writes), kernel), clock)
        kernel.boot()
        ticket = arm(host)
        if step in LEASED:
            host.confirm(*ticket, lease=60)
        kernel.writes_left = writes
        try:
            STEPS[step](host, ticket)
            break
        except CutError:
            kernel.writes_left = None
        try:
            STEPS[step](host, ticket)
        except RefusedError:
            assert step == "revert"  # it is taken back already
        wanted = {"revert": State.REVERTED, "confirm": State.CONFIRMED, "commit": State.CONFIRMED}
        assert host.transaction().state is wanted.get(step, State.LEASED)


def full(*_: object) -> None:
    raise StoreError("no room")


@pytest.mark.parametrize("step", ["confirm", "commit"])
def test_a_full_disk_after_the_swap_is_made_up_for_when_there_is_room(
    agent, monkeypatch, clock, step
):
    """The kernel needs no disk: what rules, rules, and is written down by whoever comes next."""
    ticket = arm(agent)
    if step == "commit":
        agent.confirm(*ticket, lease=60)
    with monkeypatch.context() as patched:
        patched.setattr(store, "write", full)
        with pytest.raises(StoreError):
            STEPS[step](agent, ticket)
    clock.pass_seconds(300)
    assert live(agent) == digest(NEW)
    agent.settle()
    assert agent.store.books().confirmed.digest == digest(NEW)
    assert agent.store.transaction().state is State.CONFIRMED
