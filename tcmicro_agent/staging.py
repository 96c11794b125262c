"""Trying a policy on live traffic before it rules: stage, share, unstage, promote. Safe to cut and to repeat."""

from __future__ import annotations

from collections.abc import Callable

from tcmicro_agent import messages, plan, tables
from tcmicro_agent.abi import SlotHeader
from tcmicro_agent.errors import RefusedError
from tcmicro_agent.evidence import Requirement
from tcmicro_agent.messages import Event
from tcmicro_agent.policy.model import Bundle, Mode
from tcmicro_agent.reconcile import Agent, Outcome, effective_mode
from tcmicro_agent.trial import EndTrial, SetMode, SetTrial, Share


def stage(
    agent: Agent,
    bundle: Bundle,
    share: Share,
    *,
    dry_run: bool = False,
    admit: Callable[[], None] = lambda: None,
) -> Outcome:
    """Builds a bundle beside the live one: compared with it on every new flow, and judge of a share of them.
    `admit` may refuse it under the lock."""
    with agent.store.lock():
        agent.settle()
        admit()
        observed = agent.observe()
        plan.refuse_if_pending(observed)
        if not observed.live.generation:
            raise RefusedError(
                "no policy is live, so there is nothing to compare with",
                hint="make one live first, in mode monitor it drops nothing: tc-micro policy apply FILE",
            )
        _refuse_beside_local_rules(agent)
        books, built = agent.build(observed, bundle)
        word = share.word(built.slot, observed.now_ms)
        ops = plan.plan_stage(observed, bundle, built, word)
        if ops and not dry_run:
            agent.store.save_books(books)
            agent.execute(ops)
        return _outcome(built.header, ops)


def set_share(agent: Agent, share: Share) -> Outcome:
    """Lets the staged policy judge another share. While a change is pending it may only become 0."""
    with agent.store.lock():
        agent.settle()
        observed = agent.observe()
        if share.percent:
            plan.refuse_if_pending(observed)
        slot, staged = require_staged(observed)
        word = share.word(slot, observed.now_ms)
        ops: list[plan.Op] = [SetTrial(word)] if word != observed.trial else []
        agent.execute(ops)
        return _outcome(staged, ops)


def unstage(agent: Agent) -> Outcome:
    """Ends the trial, pending change or not; flows it opened are judged again by the live policy."""
    with agent.store.lock():
        agent.settle()
        staged = agent.observe().staged
        if staged is None:
            return Outcome(changed=False, generation=0, digest="")
        ops: list[plan.Op] = [EndTrial()]
        agent.execute(ops)
        return _outcome(staged, ops)


def promote(
    agent: Agent,
    *,
    confirm_within: int = 0,
    dry_run: bool = False,
    evidence: Requirement = Requirement.NONE,
    readmit: Callable[[str], None] = lambda _: None,
) -> Outcome:
    """Makes the staged slot the live one, as it is; flows it opened go on without being judged again. `readmit`
    may refuse its digest under the lock."""
    with agent.store.lock():
        cut_short = agent.observe().promoted
        agent.settle()
        observed = agent.observe()
        plan.refuse_if_pending(observed)
        if cut_short:
            return _outcome(observed.live, [EndTrial()])
        staged = require_staged(observed)[1]
        readmit(staged.digest)
        bundle = agent.store.bundle(staged.digest)
        if bundle is None:
            raise RefusedError(
                f"bundle {staged.digest[:12]} is not kept here any more",
                hint="stage it again: tc-micro policy stage FILE",
            )
        if not dry_run:
            agent.execute(_other_mode(agent, agent.store.config().mode))
        outcome = agent.change(
            bundle, confirm_within=confirm_within, dry_run=dry_run, evidence=evidence
        )
        if not outcome.changed and not dry_run:
            agent.execute([EndTrial()])  # the same content is live: nothing is left to compare
        return outcome


def follow_ceiling(agent: Agent, ceiling: Mode) -> list[Event]:
    """Puts the staged slot into the mode it may have on this host; what it did."""
    if not _other_mode(agent, ceiling):
        return []  # without the lock, because a frozen agent must not hold it
    with agent.store.lock():
        ops = _other_mode(agent, ceiling)
        agent.execute(ops)
    return messages.events(messages.STAGED_TENDED, "op", plan.describe(ops))


def _other_mode(agent: Agent, ceiling: Mode) -> list[plan.Op]:
    observed = agent.observe()
    staged, slot = observed.staged, observed.trial.slot
    bundle = agent.store.bundle(staged.digest) if staged else None
    if staged is None or bundle is None or slot is None:
        return []
    mode = tables.MODES[effective_mode(ceiling, bundle.mode)]
    return [SetMode(slot, mode)] if staged.mode != mode else []


def require_staged(observed: plan.Observed) -> tuple[int, SlotHeader]:
    """The number and the header of the staged slot; raises RefusedError when nothing is staged."""
    if observed.trial.slot is None or observed.staged is None:
        raise RefusedError("nothing is staged", hint="tc-micro policy stage FILE")
    return observed.trial.slot, observed.staged


def _refuse_beside_local_rules(agent: Agent) -> None:
    """They come and go by themselves; a staged slot would keep what they were when it was built."""
    if rules := agent.local_rules():
        raise RefusedError(
            f"{len(rules)} local rules are in force, and a policy is not tried beside them",
            hint="wait until they end, or tc-micro policy delete ID",
        )


def _outcome(header: SlotHeader, ops: list[plan.Op]) -> Outcome:
    described = tuple(plan.describe(ops))
    return Outcome(bool(ops), header.generation, header.digest, described)
