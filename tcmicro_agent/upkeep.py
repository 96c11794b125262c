"""Keeping a host as configured: load and attach, then repair what differs but for the hooks. Each step stands alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Optional

from tcmicro_agent import attachments, follower, local_policy, messages, plan, staging, takeover
from tcmicro_agent.config import Config
from tcmicro_agent.datapath import host
from tcmicro_agent.messages import Event
from tcmicro_agent.reconcile import Agent
from tcmicro_agent.store import Mark
from tcmicro_agent.takeover import Step
from tcmicro_agent.transaction import State, Transaction

ENDS = {
    State.CONFIRMED: messages.POLICY_CONFIRMED,
    State.REVERTED: messages.POLICY_REVERTED,
}

Seen = tuple[tuple[bytes, ...], tuple[Optional[Mark], ...]]


def load(agent: Agent, release: Path, config: Config) -> list[Event]:
    """Puts the release's programs in place on every interface, over the maps that are there or beside them; returns
    what it did besides."""
    sizes = config.tuning.map_sizes(host.memory_bytes())
    ordinary = (
        Step("load", lambda: _load(agent, release, config, sizes)),
        Step("attach", lambda: _attach_all(agent, config)),
    )
    steps = takeover.plan_steps(agent, *ordinary, sizes)
    for step in steps:
        step.act()
    done = [step.text for step in steps if step not in ordinary]
    return messages.events(messages.TOOK_OVER, "step", done)


def _load(agent: Agent, release: Path, config: Config, sizes: Mapping[str, int]) -> None:
    with agent.store.lock():
        agent.kernel.load(release / "tcmicro.bpf.o", sizes)
        write_settings(agent, config)
        write_failsafe(agent, config)


def _attach_all(agent: Agent, config: Config) -> None:
    with agent.store.lock():
        attachments.attach(agent.kernel, config)


class Upkeep:
    """`converge` over and over: left out where nothing it looks at has changed since it found all to be right."""

    def __init__(self, agent: Agent) -> None:
        self._agent = agent
        self._right: tuple[Config, Seen] | None = None

    def converge(self, config: Config, *, anew: bool) -> list[Event]:
        """With `anew`, whatever it looks like."""
        if not anew and self._right == (config, seen(self._agent)):
            return []
        done = converge(self._agent, config)
        lasting = not done and _lasts(self._agent)
        self._right = (config, seen(self._agent)) if lasting else None
        return done


def seen(agent: Agent) -> Seen:
    """What `converge` goes by, as far as it does not change by itself: in the kernel and in our files. Whether the host
    routes is announced."""
    return agent.kernel.policy_state(), agent.store.marks()


def _lasts(agent: Agent) -> bool:
    """Whether time alone changes nothing: no deadline, no rule that begins or ends, no follower who may die."""
    observed, store = agent.observe(), agent.store
    live = store.summary(observed.live.digest) if observed.live.generation else None
    passing = observed.word.pending or observed.staged or (live and live.instants)
    return not (passing or store.local().rules or store.follower.exists())


def converge(agent: Agent, config: Config) -> list[Event]:
    """Repairs what differs from configuration and books; returns what it did, empty when all was right."""
    return [
        *write_settings(agent, config),
        *write_failsafe(agent, config),
        *settle(agent),
        *_restore(agent, config),
        *local_policy.follow(agent),
        *staging.follow_ceiling(agent, config.mode),
    ]


def mend(agent: Agent) -> list[Event]:
    """Before hooks are looked at: programs that are put back there have to use the maps that are there."""
    back = agent.kernel.mend()
    return [messages.PINS_BACK(names=", ".join(back))] if back else []


def write_settings(agent: Agent, config: Config) -> list[Event]:
    """Whether this host routes, and what a follower of events asked for, is looked up each time."""
    reasons = (*config.tuning.event_reasons, *follower.asked(agent.store))
    tuning = replace(config.tuning, event_reasons=reasons)
    wanted = tuning.settings(agent.kernel.hz(), forwarding=host.forwarding())
    return [messages.SETTINGS_WRITTEN()] if agent.kernel.set_settings(wanted) else []


def write_failsafe(agent: Agent, config: Config) -> list[Event]:
    added, removed = agent.kernel.set_failsafe(config.failsafe_keys())
    changed = added or removed
    return [messages.FAILSAFE_CHANGED(added=added, removed=removed)] if changed else []


def settle(agent: Agent) -> list[Event]:
    """The lock is taken only when there is something to write: a frozen agent must not hold it."""
    if not agent.unsettled():
        return []
    with agent.store.lock():
        before, books = agent.store.transaction(), agent.store.books().confirmed
        staged = messages.events(messages.STAGED_TENDED, "op", plan.describe(agent.tending()))
        after, confirmed = agent.settle(), agent.store.books().confirmed
    if after and after != before:
        return [*_ended(after), *staged]
    if confirmed and confirmed != books:
        return [messages.POLICY_RECORDED(generation=confirmed.generation), *staged]
    return staged


def _ended(transaction: Transaction) -> list[Event]:
    message = ENDS.get(transaction.state)
    named = {"transaction": transaction.id, "generation": transaction.generation}
    return [message(**named)] if message else []


def _restore(agent: Agent, config: Config) -> list[Event]:
    """After a reboot, or a change of the host's ceiling: the confirmed bundle, in the mode it may have."""
    outcome = agent.restore(config.mode)
    if outcome is None:
        return []
    return [messages.POLICY_RESTORED(digest=outcome.digest[:12], generation=outcome.generation)]
