"""What this host looks like now, as documents for machines. Reads only."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

from tcmicro_agent import abi, guard, takeover, trial_report
from tcmicro_agent.attachments import Survey, survey
from tcmicro_agent.config import Config
from tcmicro_agent.datapath import host, rates
from tcmicro_agent.documents import document
from tcmicro_agent.errors import TcmicroError
from tcmicro_agent.interfaces import Interface, left_out
from tcmicro_agent.reconcile import Agent
from tcmicro_agent.transaction import Transaction
from tcmicro_agent.version import VERSION

MAX_LISTENERS = 20
NO_POLICY = {"state": "none", "generation": 0, "digest": "", "staged": None}


def status(agent: Agent, config: Config) -> dict[str, Any]:
    """The Status document; with no datapath loaded its policy part says so instead of failing."""
    loaded, problem = agent.kernel.loaded, _config_problem(agent)
    found, local = enforcement(agent, config), local_rules(agent)
    refused = [f"configuration refused, the one before goes on: {problem}"] if problem else []
    return document(
        "Status",
        release=VERSION,
        abi=abi.ABI,
        agent={**process(agent.store.agent()), "config_problem": problem},
        **{**found, "drift": [*found["drift"], *refused, *map(_local_drift, local)]},
        local=local,
        transaction=transaction(agent.transaction(), agent.clock.boot_ms()),
        counters=_totals(agent) if loaded else {},
        sessions=_session_total(agent) if loaded else 0,
        syn_flood=syn_flood(agent) if loaded else None,
    )


def enforcement(agent: Agent, config: Config) -> dict[str, Any]:
    """What is hooked, which policy rules and what is amiss; walks no counters and no sessions."""
    loaded = agent.kernel.loaded
    found = survey(agent.kernel, config) if loaded else Survey()
    guarded = [_guarded(agent, config, interface) for interface in found.guarded]
    return {
        "datapath": {
            "loaded": loaded,
            "hook": _hook(agent, config, found.guarded) if loaded else None,
            "mode": config.mode.value,
            "interfaces": guarded,
            "unguarded": _unguarded(found, config),
        },
        "policy": _policy(agent) if loaded else NO_POLICY,
        "drift": [
            *_drift(loaded, guarded),
            *found.problems,
            *takeover.drift(agent.kernel, config.tuning.map_sizes(host.memory_bytes())),
        ],
    }


def syn_flood(agent: Agent) -> dict[str, Any]:
    """How many ports and source networks are over their limit now; the busiest ports by number."""
    found = rates.flood(agent.kernel)
    busiest = [{"port": rate.bucket, "syns": rate.syns} for rate in found.listeners[:MAX_LISTENERS]]
    return {
        "listeners": len(found.listeners),
        "sources": len(found.sources),
        "listener": busiest,
    }


def local_rules(agent: Agent) -> list[dict[str, Any]]:
    """Temporary rules of this host: those that are wanted and those that rule; `expires_in_s` is 0 past their end."""
    known, now = agent.store.local(), agent.moment()
    live = agent.observe().live if agent.kernel.loaded else None
    ruling = known.in_generation(live.generation) if live else ()
    numbers = agent.store.books().numbers
    return [
        {
            "id": rule.id,
            "direction": rule.direction.value,
            "action": rule.action.value,
            "peer": str(rule.network or "any"),
            "service": str(rule.service),
            "comment": rule.comment,
            "expires_in_s": round(max(rule.left_s(now), 0)),
            "in_force": rule in ruling,
            "hits": agent.kernel.rule_hits([numbers[rule.uid]])[numbers[rule.uid]][0]
            if live and rule.uid in numbers
            else 0,
        }
        for rule in dict.fromkeys((*known.rules, *ruling))
    ]


def _local_drift(rule: dict[str, Any]) -> str:
    what = f"{rule['action']} {rule['direction']} {rule['service']} {rule['peer']}"
    end = f"ends in {rule['expires_in_s']} s"
    if not rule["expires_in_s"]:
        end = "should have ended: the agent ends it once it runs and nothing is pending"
    elif not rule["in_force"]:
        end = "not in force yet"
    return f"local rule {rule['id']} ({what}): {end}"


def process(said: dict[str, Any]) -> dict[str, Any]:
    """Of what an agent said of itself when it started: what still holds."""
    pid = int(said.get("pid") or 0)
    running = bool(pid) and host.start_of(pid) == said.get("start")
    return {
        "running": running,
        "pid": pid if running else None,
        "release": said.get("release") if running else None,
        "started_at": said.get("started_at") if running else None,
        "enforcing_problem": said.get("enforcing_problem") if running else None,
    }


def _config_problem(agent: Agent) -> str | None:
    """Why the configuration is not in force: as the file is, or else what the running agent could not do."""
    try:
        agent.store.read_config()
    except TcmicroError as exc:
        return str(exc)
    said = agent.store.agent()
    return said.get("config_problem") if process(said)["running"] else None


def _guarded(agent: Agent, config: Config, interface: Interface) -> dict[str, Any]:
    on = agent.kernel.attached(config.hook.value, interface)
    return {"name": interface.name, **{way.name.lower(): there for way, there in on.items()}}


def _unguarded(found: Survey, config: Config) -> list[dict[str, str]]:
    """Links that own their packets, and why nothing of ours judges them."""
    guarded = {interface.name for interface in found.guarded}
    reasons = left_out(found.links, config.interfaces)
    return [
        {"name": name, "reason": reason} for name, reason in reasons.items() if name not in guarded
    ]


def _hook(agent: Agent, config: Config, guarded: Sequence[Interface]) -> str | None:
    return agent.kernel.hook(config.hook.value, guarded[0]).name if guarded else None


def _policy(agent: Agent) -> dict[str, Any]:
    observed = agent.observe()
    live, books = observed.live, agent.store.books()
    state = "none" if not live.generation else "pending" if observed.pending else "committed"
    kept = agent.store.summary(live.digest) if live.generation else None
    previous = books.previous if state == "committed" else books.confirmed
    return {
        "generation": live.generation,
        "digest": live.digest if live.generation else "",
        "state": state,
        "mode": live.mode.name.lower(),
        "monitoring": list(kept.monitoring) if kept else [],
        "rules": kept.rules if kept else 0,
        "previous": vars(previous) if previous else None,
        "staged": trial_report.staged(agent, observed),
    }


def transaction(found: Transaction | None, now_ms: int) -> dict[str, Any] | None:
    if found is None:
        return None
    left = (found.deadline_ms - now_ms) / 1000
    return {
        "id": found.id,
        "state": found.state.value,
        "generation": found.generation,
        "digest": found.digest,
        "previous_generation": found.previous_generation,
        "deadline_in_s": round(left, 1) if found.open else None,
    }


def release_transaction(found: guard.Transaction | None, now_ms: int) -> dict[str, Any] | None:
    if found is None:
        return None
    left = (found.deadline_ms - now_ms) / 1000
    pending = found.state is guard.State.PENDING
    return {**found.to_document(), "deadline_in_s": round(left, 1) if pending else None}


def _totals(agent: Agent) -> dict[str, dict[str, int]]:
    """Packets per direction: allowed + denied = seen; `audited` of the allowed would be denied in protect; `revoked` of
    the denied are of flows that were alive when another policy became live."""
    counted = agent.kernel.counters()
    totals = {}
    for direction in abi.Direction:
        sums = {"allowed": 0, "denied": 0, "audited": 0, "revoked": 0}
        for bank, reason in itertools.product(abi.Bank, abi.Reason):
            packets = counted[abi.counter_index(direction, reason, bank)][0]
            sums["denied" if abi.dropped(reason, bank) else "allowed"] += packets
            sums["audited"] += packets if bank is abi.Bank.AUDITED else 0
            sums["revoked"] += (
                packets if reason is abi.Reason.REVOKED and abi.dropped(reason, bank) else 0
            )
        totals[direction.name.lower()] = sums
    return totals


def _session_total(agent: Agent) -> int:
    return sum(agent.kernel.sessions.counts().values())


def _drift(loaded: bool, interfaces: list[dict[str, Any]]) -> list[str]:  # noqa: FBT001
    if not loaded:
        return ["the datapath is not loaded"]
    return [
        f"{entry['name']}: no program of ours on {direction}"
        for entry in interfaces
        for direction in ("ingress", "egress")
        if not entry[direction]
    ]
