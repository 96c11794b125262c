"""Staging, sharing, promoting; and the same cut before every single write of kernel and files."""

from __future__ import annotations

from functools import partial

import pytest
from builders import bundle, rule
from fakes import CutError, CutStore
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tcmicro_agent import abi, staging, upkeep
from tcmicro_agent.abi import Mode as KernelMode
from tcmicro_agent.abi import TrialWord, Verdict
from tcmicro_agent.datapath import trial as maps
from tcmicro_agent.errors import RefusedError
from tcmicro_agent.policy.bundle import digest
from tcmicro_agent.policy.model import Mode
from tcmicro_agent.reconcile import Agent
from tcmicro_agent.store import write_document
from tcmicro_agent.transaction import State
from tcmicro_agent.trial import Share

LIVE = bundle(rule("p/ssh", "tcp/22"), endpoints={"10.0.0.1": 1})
NEXT = bundle(rule("p/web", "tcp/80"), rule("p/tls", "tcp/443"), endpoints={"10.0.0.1": 1})
OTHER = bundle(rule("p/dns", "udp/53"))
COMPARE = Share()
TENTH = Share(10, 600)
IN = abi.Direction.INGRESS


@pytest.fixture
def agent(kernel, clock, tmp_path) -> Agent:
    return Agent(kernel, CutStore(tmp_path, kernel), clock)


@pytest.fixture
def ruled(agent) -> Agent:
    """A host with two policies behind it."""
    agent.apply(bundle())
    agent.apply(LIVE)
    return agent


def live(agent) -> str:
    return agent.observe().live.digest


def staged(agent) -> str:
    found = agent.observe().staged
    return found.digest if found else ""


def slots(agent) -> tuple[int, ...]:
    seen = agent.observe()
    return tuple(
        n for n in (seen.word.active, seen.word.fallback, seen.trial.slot) if n is not None
    )


def test_staging_touches_nothing_that_rules(ruled, kernel):
    word = kernel.word
    outcome = staging.stage(ruled, NEXT, COMPARE)
    assert outcome.changed
    assert kernel.word == word
    assert (live(ruled), staged(ruled)) == (digest(LIVE), digest(NEXT))
    assert len(set(slots(ruled))) == 3
    assert ruled.observe().trial.share == 0
    assert ruled.store.bundle(digest(NEXT)) == NEXT
    assert ruled.store.books().confirmed.digest == digest(LIVE)


def test_the_trial_word_is_the_last_op(ruled):
    ops = staging.stage(ruled, NEXT, TENTH, dry_run=True).ops
    assert [op.split()[0] for op in ops] == ["keep", "clear", "build", "read", "compare", "stage"]
    assert "judges 10 % of new flows until 1600000 ms since boot" in ops[-1]
    assert (staged(ruled), ruled.store.comparison()) == ("", None)


def test_a_share_ends_by_itself_and_the_comparison_goes_on(ruled, clock):
    staging.stage(ruled, NEXT, TENTH)
    word = ruled.observe().trial
    assert word.share_at(clock.boot_ms()) == 10
    clock.pass_seconds(600)
    assert (word.share_at(clock.boot_ms()), staged(ruled)) == (0, digest(NEXT))


def test_staging_the_same_again_changes_only_the_share(ruled, kernel):
    first = staging.stage(ruled, NEXT, COMPARE)
    assert not staging.stage(ruled, NEXT, COMPARE).changed
    again = staging.stage(ruled, NEXT, TENTH)
    assert (again.generation, len(again.ops)) == (first.generation, 1)
    assert ruled.observe().trial.share == 10


def test_another_one_is_staged_in_place_of_the_first(ruled):
    first = staging.stage(ruled, NEXT, TENTH)
    second = staging.stage(ruled, OTHER, COMPARE)
    assert second.generation > first.generation
    # the first one ends before the second is counted
    assert [op.split()[0] for op in second.ops[-3:]] == ["nothing", "compare", "stage"]
    assert (staged(ruled), ruled.observe().trial.share) == (digest(OTHER), 0)
    assert ruled.store.comparison().generation == second.generation


def test_staging_is_refused_with_nothing_live_and_while_a_change_is_pending(agent):
    with pytest.raises(RefusedError, match="no policy is live"):
        staging.stage(agent, NEXT, COMPARE)
    agent.apply(LIVE)
    agent.apply(OTHER, confirm_within=60)
    with pytest.raises(RefusedError, match="waiting to be confirmed"):
        staging.stage(agent, NEXT, COMPARE)


def test_while_a_change_is_pending_a_trial_only_gets_less(ruled):
    staging.stage(ruled, NEXT, TENTH)
    ruled.apply(OTHER, confirm_within=60)
    for more in (partial(staging.set_share, ruled, TENTH), partial(staging.promote, ruled)):
        with pytest.raises(RefusedError, match="waiting to be confirmed"):
            more()
    assert staging.set_share(ruled, COMPARE).changed
    assert ruled.observe().trial.share == 0
    assert staging.unstage(ruled).changed
    assert staged(ruled) == ""


def test_what_needs_a_staged_policy_says_so(ruled):
    for verb in (partial(staging.set_share, ruled, TENTH), partial(staging.promote, ruled)):
        with pytest.raises(RefusedError, match="nothing is staged"):
            verb()
    assert not staging.unstage(ruled).changed


def test_unstage_forgets_it(ruled):
    staging.stage(ruled, NEXT, TENTH)
    assert staging.unstage(ruled).digest == digest(NEXT)
    assert (ruled.observe().trial, ruled.store.comparison()) == (TrialWord(None), None)


# --- promotion ---


def test_promotion_keeps_the_generation_and_builds_nothing(ruled):
    candidate = staging.stage(ruled, NEXT, TENTH)
    outcome = staging.promote(ruled)
    assert [op.split()[0] for op in outcome.ops] == ["keep", "read", "make", "record", "nothing"]
    assert (outcome.generation, live(ruled)) == (candidate.generation, digest(NEXT))
    assert ruled.observe().trial == TrialWord(None)
    assert ruled.store.books().confirmed.generation == candidate.generation
    assert ruled.store.books().previous.digest == digest(LIVE)


def test_applying_what_is_staged_promotes_it(ruled):
    candidate = staging.stage(ruled, NEXT, COMPARE)
    outcome = ruled.apply(NEXT, confirm_within=60)
    assert outcome.generation == candidate.generation
    assert not any(op.startswith(("clear", "build")) for op in outcome.ops)
    ruled.confirm(outcome.transaction.id, outcome.transaction.token)
    assert ruled.store.books().confirmed.generation == candidate.generation
    assert staged(ruled) == ""


def test_an_unconfirmed_promotion_is_taken_back_and_ends_the_trial(ruled, clock):
    staging.stage(ruled, NEXT, TENTH)
    staging.promote(ruled, confirm_within=60)
    assert (live(ruled), staged(ruled)) == (digest(NEXT), "")
    clock.pass_seconds(60)
    assert (live(ruled), staged(ruled)) == (digest(LIVE), "")
    assert ruled.settle().state is State.REVERTED


def test_dry_run_promotes_nothing(ruled, kernel):
    staging.stage(ruled, NEXT, TENTH)
    kernel.writes_left = 0
    assert staging.promote(ruled, dry_run=True).changed
    assert (live(ruled), staged(ruled)) == (digest(LIVE), digest(NEXT))


def test_a_damaged_staged_slot_is_not_promoted(ruled, kernel):
    staging.stage(ruled, NEXT, TENTH)
    slot = ruled.observe().trial.slot
    kernel.maps["tcm_rules"] = {k: v for k, v in kernel.maps["tcm_rules"].items() if k[4] != slot}
    with pytest.raises(Exception, match="does not hold what was written to tcm_rules"):
        staging.promote(ruled)
    assert live(ruled) == digest(LIVE)
    ruled.settle()
    assert ruled.observe().trial == TrialWord(None)


def test_staging_what_is_live_and_promoting_it_only_ends_the_trial(ruled):
    generation = ruled.observe().live.generation
    staging.stage(ruled, LIVE, COMPARE)
    assert not staging.promote(ruled).changed
    assert (ruled.observe().live.generation, staged(ruled)) == (generation, "")


# --- beside other changes ---


def test_applying_another_bundle_keeps_the_staged_one_and_compares_anew(ruled, kernel):
    staging.stage(ruled, NEXT, TENTH)
    kernel.compare(IN, Verdict.ALLOW, Verdict.DENY)
    word = ruled.observe().trial
    applied = ruled.apply(OTHER)
    assert applied.ops[-1] == f"compare generation 3 with {applied.generation} from now on"
    noted = ruled.store.comparison()
    assert (ruled.observe().trial, noted.against) == (word, applied.generation)
    assert noted.since(maps.comparisons(kernel)) == (0,) * abi.COMPARISONS
    assert len(set(slots(ruled))) == 3


def test_rules_of_the_staged_policy_keep_their_numbers(ruled):
    staging.stage(ruled, NEXT, COMPARE)
    before = ruled.store.books().numbers
    for port in range(1, 4):
        ruled.apply(bundle(*(rule(f"q/{port}/{n}", f"tcp/{n}") for n in range(1, 9))))
    after = ruled.store.books().numbers
    assert {uid: after[uid] for uid in ("p/web", "p/tls")} == {
        uid: before[uid] for uid in ("p/web", "p/tls")
    }
    staging.promote(ruled)
    assert live(ruled) == digest(NEXT)


def test_the_staged_bundle_is_kept_however_many_follow(ruled):
    staging.stage(ruled, NEXT, COMPARE)
    for port in range(1, 12):
        ruled.apply(bundle(rule("q/x", f"tcp/{port}")))
    assert staging.promote(ruled).digest == digest(NEXT)


@pytest.mark.parametrize("how", ["deadline", "revert"])
def test_a_policy_taken_back_is_compared_with_anew(ruled, kernel, clock, how):
    staging.stage(ruled, NEXT, COMPARE)
    against = ruled.store.comparison().against
    pending = ruled.apply(OTHER, confirm_within=60)
    assert ruled.store.comparison().against == pending.generation
    kernel.compare(IN, Verdict.ALLOW, Verdict.DENY)
    if how == "revert":
        ruled.revert()
    else:
        clock.pass_seconds(60)
        assert upkeep.settle(ruled)[-1] == f"compare generation 3 with {against} from now on"
    noted = ruled.store.comparison()
    assert (noted.against, noted.generation) == (against, 3)
    assert sum(noted.since(maps.comparisons(kernel))) == 0
    assert upkeep.settle(ruled) == []


def test_a_reboot_drops_what_is_staged(ruled, kernel, clock):
    staging.stage(ruled, NEXT, TENTH)
    kernel.boot()
    clock.boot = "boot-2"
    assert staged(ruled) == ""
    assert upkeep.settle(ruled) == ["nothing is staged any more"]
    assert ruled.restore(Mode.PROTECT).digest == digest(LIVE)
    assert (staged(ruled), ruled.store.comparison()) == ("", None)


def test_the_staged_slot_follows_the_ceiling_of_the_host(ruled, kernel):
    staging.stage(ruled, NEXT, TENTH)
    generation = ruled.observe().staged.generation
    for ceiling in (Mode.MONITOR, Mode.PROTECT):
        assert staging.follow_ceiling(ruled, ceiling) == [
            f"put slot {ruled.observe().trial.slot} into mode {ceiling.value}"
        ]
        assert ruled.observe().staged.mode is KernelMode[ceiling.name]
        assert staging.follow_ceiling(ruled, ceiling) == []
    assert ruled.observe().staged.generation == generation


def test_a_policy_is_staged_and_promoted_in_the_mode_this_host_permits(ruled):
    write_document(ruled.store.etc / "agent.json", {"mode": "monitor"})
    staging.stage(ruled, NEXT, TENTH)
    assert ruled.observe().staged.mode is KernelMode.MONITOR
    write_document(ruled.store.etc / "agent.json", {"mode": "protect"})
    candidate = ruled.observe().staged.generation
    promoted = staging.promote(ruled)
    assert (promoted.generation, ruled.observe().live.mode) == (candidate, KernelMode.PROTECT)


VERBS = {
    "stage": lambda agent: staging.stage(agent, NEXT, TENTH),
    "stage another": lambda agent: staging.stage(agent, OTHER, TENTH),
    "share": lambda agent: staging.set_share(agent, TENTH),
    "unstage": staging.unstage,
    "promote": staging.promote,
    "promote to confirm": lambda agent: staging.promote(agent, confirm_within=60),
    "apply": lambda agent: agent.apply(OTHER),
    "apply to confirm": lambda agent: agent.apply(LIVE, confirm_within=60),
    "revert": lambda agent: agent.revert(),
    "time": lambda agent: agent.clock.pass_seconds(61),
    "upkeep": upkeep.settle,
}


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(words=st.lists(st.sampled_from(sorted(VERBS)), max_size=12))
def test_whatever_is_done_no_slot_serves_two_purposes(tmp_path_factory, words):
    from fakes import FakeClock, FakeKernel

    clock = FakeClock()
    kernel = FakeKernel(clock)
    agent = Agent(kernel, CutStore(tmp_path_factory.mktemp("host"), kernel), clock)
    agent.apply(bundle())
    for word in words:
        try:
            VERBS[word](agent)
        except RefusedError:
            continue
        seen, noted = agent.observe(), agent.store.comparison()
        assert seen.trial.slot not in (seen.word.active, seen.word.fallback)
        assert all(seen.headers[n].generation for n in (seen.word.live(seen.now_ms),))
        if seen.staged and word != "time":
            assert (noted.generation, noted.against) == (
                seen.staged.generation,
                seen.live.generation,
            )


# --- cut before every write ---


def cut_everywhere(agent, kernel, verb, check) -> int:
    """Runs a verb cut before its 1st, 2nd … write, looks, and goes on; how many writes it had."""
    for writes in range(60):
        kernel.writes_left = writes
        try:
            verb()
        except CutError:
            kernel.writes_left = None
            check()
            continue
        kernel.writes_left = None
        return writes
    raise AssertionError("it never got through")


@pytest.mark.parametrize("before", [None, OTHER], ids=["first", "in place of another"])
def test_staging_cut_anywhere_leaves_the_live_policy_and_a_retry_converges(ruled, kernel, before):
    if before:
        staging.stage(ruled, before, TENTH)
    word = kernel.word

    def untouched() -> None:
        assert (kernel.word, live(ruled)) == (word, digest(LIVE))
        assert staged(ruled) in ("", digest(before) if before else "")

    writes = cut_everywhere(ruled, kernel, lambda: staging.stage(ruled, NEXT, TENTH), untouched)
    assert writes > 9
    seen = ruled.observe()
    assert (staged(ruled), seen.trial.share) == (digest(NEXT), 10)
    assert ruled.store.comparison().generation == seen.staged.generation
    staging.promote(ruled)
    assert live(ruled) == digest(NEXT)


@pytest.mark.parametrize("verb", ["share", "unstage"])
def test_share_and_unstage_cut_anywhere(ruled, kernel, verb):
    staging.stage(ruled, NEXT, Share(50, 600))
    word = kernel.word

    def untouched() -> None:
        assert (kernel.word, live(ruled)) == (word, digest(LIVE))

    assert cut_everywhere(ruled, kernel, lambda: VERBS[verb](ruled), untouched) >= 1
    ruled.settle()
    assert ruled.observe().trial.share == (10 if verb == "share" else 0)
    assert (ruled.store.comparison() is None) == (verb == "unstage")


def test_promotion_cut_anywhere_is_done_or_not_done_and_a_retry_converges(ruled, kernel):
    candidate = staging.stage(ruled, NEXT, TENTH)
    seen = []

    def whole() -> None:
        seen.append(live(ruled))
        now = ruled.observe()
        # until it rules the trial goes on: nothing that was opened under it meets the policy before
        assert live(ruled) == digest(NEXT) or (now.staged and now.trial.share == 10)

    cut_everywhere(ruled, kernel, lambda: staging.promote(ruled), whole)
    assert set(seen) == {digest(LIVE), digest(NEXT)}
    assert (live(ruled), ruled.observe().live.generation) == (digest(NEXT), candidate.generation)
    assert ruled.observe().trial == TrialWord(None)
    books = ruled.store.books()
    assert (books.confirmed.digest, books.previous.digest) == (digest(NEXT), digest(LIVE))
    assert ruled.store.comparison() is None


def test_promotion_to_confirm_cut_anywhere_ends_as_it_was(ruled, kernel, clock):
    for writes in range(20):
        staging.stage(ruled, NEXT, TENTH)
        kernel.writes_left = writes
        try:
            pending = staging.promote(ruled, confirm_within=60).transaction
        except CutError:
            kernel.writes_left = None
            clock.pass_seconds(61)
            assert live(ruled) == digest(LIVE)
            ruled.settle()
            assert ruled.store.books().confirmed.digest == digest(LIVE)
            continue
        break
    kernel.writes_left = None
    assert writes > 3
    assert ruled.confirm(pending.id, pending.token).changed
    assert (live(ruled), staged(ruled)) == (digest(NEXT), "")
    assert ruled.store.books().confirmed.digest == digest(NEXT)


def test_applying_beside_a_staged_policy_cut_anywhere(ruled, kernel):
    staging.stage(ruled, NEXT, TENTH)

    def both() -> None:
        assert (staged(ruled), live(ruled) in (digest(LIVE), digest(OTHER))) == (digest(NEXT), True)

    cut_everywhere(ruled, kernel, lambda: ruled.apply(OTHER), both)
    assert (live(ruled), staged(ruled)) == (digest(OTHER), digest(NEXT))
    assert ruled.store.books().confirmed.digest == digest(OTHER)
    assert ruled.store.comparison().against == ruled.observe().live.generation
