"""Keeping a host as configured: load and attach, then repair what differs but for the hooks. Each step stands alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from tcmicro_agent import attachments, follower, local_policy, plan, staging, takeover
from tcmicro_agent.config import Config
from tcmicro_agent.datapath import host
from tcmicro_agent.reconcile import Agent
from tcmicro_agent.takeover import Step


def load(agent: Agent, release: Path, config: Config) -> list[str]:
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
    return [step.text for step in steps if step not in ordinary]


def _load(agent: Agent, release: Path, config: Config, sizes: Mapping[str, int]) -> None:
    with agent.store.lock():
        agent.kernel.load(release / "tcmicro.bpf.o", sizes)
        write_settings(agent, config)
        write_failsafe(agent, config)


def _attach_all(agent: Agent, config: Config) -> None:
    with agent.store.lock():
        attachments.attach(agent.kernel, config)


def converge(agent: Agent, config: Config) -> list[str]:
    """Repairs what differs from configuration and books; returns what it did, empty when all was right."""
    return [
        *write_settings(agent, config),
        *write_failsafe(agent, config),
        *settle(agent),
        *_restore(agent, config),
        *local_policy.follow(agent),
        *staging.follow_ceiling(agent, config.mode),
    ]


def write_settings(agent: Agent, config: Config) -> list[str]:
    """Whether this host routes, and what a follower of events asked for, is looked up each time."""
    reasons = (*config.tuning.event_reasons, *follower.asked(agent.store))
    tuning = replace(config.tuning, event_reasons=reasons)
    wanted = tuning.settings(agent.kernel.hz(), forwarding=host.forwarding())
    return ["settings written"] if agent.kernel.set_settings(wanted) else []


def write_failsafe(agent: Agent, config: Config) -> list[str]:
    added, removed = agent.kernel.set_failsafe(config.failsafe_keys())
    return [f"failsafe: {added} added, {removed} removed"] if added or removed else []


def settle(agent: Agent) -> list[str]:
    """The lock is taken only when there is something to write: a frozen agent must not hold it."""
    if not agent.unsettled():
        return []
    with agent.store.lock():
        before, books = agent.store.transaction(), agent.store.books().confirmed
        staged = plan.describe(agent.tending())
        after, confirmed = agent.settle(), agent.store.books().confirmed
    if after and after != before:
        return [
            f"transaction {after.id}, generation {after.generation}: {after.state.value}",
            *staged,
        ]
    if confirmed and confirmed != books:
        return [f"generation {confirmed.generation} rules for good: recorded", *staged]
    return staged


def _restore(agent: Agent, config: Config) -> list[str]:
    """After a reboot, or a change of the host's ceiling: the confirmed bundle, in the mode it may have."""
    outcome = agent.restore(config.mode)
    if outcome is None:
        return []
    return [f"bundle {outcome.digest[:12]} is live again, as generation {outcome.generation}"]
