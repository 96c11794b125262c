"""Local rules put in force: added, deleted, ended. Each is the bundle that rules built anew, as a new generation."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import replace

from tcmicro_agent import messages, plan
from tcmicro_agent.errors import RefusedError, TcmicroError
from tcmicro_agent.local import MAX_RULES, Local, LocalRule
from tcmicro_agent.messages import Event
from tcmicro_agent.policy.model import Bundle
from tcmicro_agent.reconcile import Agent, Outcome
from tcmicro_agent.store import LockedError


def add(agent: Agent, wanted: LocalRule) -> tuple[LocalRule, Outcome]:
    """`wanted` without id and time: it gets both. It ends `ttl_s` from now."""
    rule = replace(wanted, id=secrets.token_hex(4), made=agent.moment())

    def added(known: Local) -> Local:
        rules = (*known.wanted(agent.moment()), rule)
        if len(rules) > MAX_RULES:
            raise RefusedError(
                f"there are {MAX_RULES} local rules already",
                hint="write a policy: local rules are for what cannot wait",
            )
        return replace(known, rules=rules)

    return rule, _change(agent, added)


def delete(agent: Agent, identifier: str) -> Outcome:
    def without(known: Local) -> Local:
        rules = tuple(rule for rule in known.rules if rule.id != identifier)
        if rules == known.rules:
            raise RefusedError(f"there is no local rule {identifier}", hint="tc-micro policy list")
        return replace(known, rules=rules)

    return _change(agent, without)


def follow(agent: Agent) -> list[Event]:
    """Ends what has expired, and puts right what a cut or a policy taken back left; what it did. A change that waits
    to be confirmed comes first."""
    if not _due(agent):
        return []  # without the lock, because a frozen agent must not hold it
    with agent.store.lock():
        agent.settle()
        bundle = _live_bundle(agent) if _due(agent) else None
        if bundle is None:
            return []
        known = agent.store.local()
        ended = [rule.id for rule in known.rules if rule.left_s(agent.moment()) <= 0]
        agent.store.save_local(replace(known, rules=known.wanted(agent.moment())))
        outcome = agent.change(bundle)
    done = messages.events(messages.LOCAL_ENDED, "rule", ended)
    return [*done, messages.LOCAL_REBUILT(generation=outcome.generation)]


def _due(agent: Agent) -> bool:
    known = agent.store.local()
    if not (known.rules or known.built) or not agent.kernel.loaded:
        return False
    observed = agent.observe()
    if observed.word.pending or not observed.live.generation:
        return False
    return known.rules != agent.local_rules() or not agent.holds_local(
        observed.live, agent.local_rules()
    )


def _change(agent: Agent, edit: Callable[[Local], Local]) -> Outcome:
    """Noted first, so that what is cut is carried on by the agent; what does not fit is taken back."""
    with agent.store.lock():
        agent.settle()
        _refuse_while_busy(agent.observe())
        bundle = _live_bundle(agent)
        if bundle is None:
            raise RefusedError(
                "no policy is live here, or its bundle is not kept; local rules stand above one",
                hint="tc-micro policy apply FILE",
            )
        before = agent.store.local()
        agent.store.save_local(edit(before))
        try:
            return agent.change(bundle)
        except TcmicroError:
            agent.store.save_local(replace(agent.store.local(), rules=before.rules))
            raise


def _live_bundle(agent: Agent) -> Bundle | None:
    live = agent.observe().live
    return agent.store.bundle(live.digest) if live.generation else None


def _refuse_while_busy(observed: plan.Observed) -> None:
    if observed.word.pending:
        raise LockedError(
            f"generation {observed.armed.generation} is waiting to be confirmed",
            hint="confirm it, or take it back: tc-micro policy revert",
        )
    if observed.staged:
        raise LockedError(
            f"generation {observed.staged.generation} is staged, and local rules would not be in it",
            hint="tc-micro policy unstage, or promote",
        )
