"""What this host counts, tracks and enforces, item by item, as documents for machines. Reads only."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

from tcmicro_agent import abi, tables
from tcmicro_agent.datapath import events
from tcmicro_agent.documents import document
from tcmicro_agent.policy.model import Bundle
from tcmicro_agent.reconcile import Agent
from tcmicro_agent.report import local_rules, syn_flood
from tcmicro_agent.sessions import Query

PROTOCOLS = {1: "icmp", 6: "tcp", 17: "udp", 132: "sctp"}
FLAGS = {name.lower(): flag for name, flag in abi.SessionFlag.__members__.items()}


def stats(agent: Agent) -> dict[str, Any]:
    """Packets and bytes by direction and reason; bank `audited`: passed only because of monitor mode."""
    counted = agent.kernel.counters()
    rows = [
        {
            "direction": direction.name.lower(),
            "reason": reason.name.lower(),
            "verdict": "deny" if abi.dropped(reason, bank) else "allow",
            "bank": bank.name.lower(),
            "packets": packets,
            "bytes": size,
        }
        for bank in abi.Bank
        for direction in abi.Direction
        for reason in abi.Reason
        for packets, size in [counted[abi.counter_index(direction, reason, bank)]]
        if packets
    ]
    told = vars(events.told(agent.kernel))
    return document("Stats", counters=rows, events=told, syn_flood=syn_flood(agent))


def sessions(agent: Agent, query: Query, *, limit: int) -> dict[str, Any]:
    """Tracked flows that are asked for, at most `limit`; `age_s` since the last packet."""
    found = Found()
    rows = [row for batch in found.rows(agent, query, limit) for row in batch]
    return document("Sessions", sessions=rows, matching=found.matching, total=found.total)


class Found:
    """Tracked flows in batches, as a host has a million of them; how many they are is known after the last."""

    def __init__(self) -> None:
        self.matching = self.total = 0

    def rows(self, agent: Agent, query: Query, limit: int) -> Iterator[list[dict[str, Any]]]:
        """Those that are asked for, thousands at a time, at most `limit` in all."""
        now, hz = agent.kernel.jiffies(), agent.kernel.hz()
        uids = {number: uid for uid, number in agent.store.books().numbers.items()}
        left = limit
        for chunk in agent.kernel.sessions.chunks():
            found = query.select(chunk)
            self.matching, self.total = self.matching + len(found), self.total + len(chunk)
            if found[:left]:
                yield [_session(chunk.session(n), now, hz, uids) for n in found[:left]]
                left -= len(found[:left])


def policy(agent: Agent) -> dict[str, Any]:
    """The rules and defaults of the live bundle with their hits, and apart from them the local rules."""
    observed = agent.observe()
    bundle = agent.store.bundle(observed.live.digest) if observed.live.generation else None
    local = local_rules(agent)
    if bundle is None:
        return document("PolicyList", generation=observed.live.generation, rules=[], local=local)
    numbers = agent.store.books().numbers
    hits = agent.kernel.rule_hits(list(numbers.values()))
    rows = [*_rules(bundle), *_defaults(bundle)]
    return document(
        "PolicyList",
        generation=observed.live.generation,
        digest=observed.live.digest,
        mode=observed.live.mode.name.lower(),
        rules=[{**row, "hits": hits.get(numbers.get(row["rule"], 0), (0, 0))[0]} for row in rows],
        local=local,
    )


def _rules(bundle: Bundle) -> Iterator[dict[str, Any]]:
    names = {info.number: info.name for info in bundle.identities}
    for rule in bundle.rules:
        yield {
            "rule": rule.uid,
            "direction": rule.direction.value,
            "action": rule.action.value,
            "mode": bundle.mode_of(rule).value,
            "peers": ["any"] if rule.any_peer else [names.get(i, "world") for i in rule.identities],
            "services": list(map(str, rule.services)),
            "source": rule.source,
        }


def _defaults(bundle: Bundle) -> Iterator[dict[str, Any]]:
    actions = (bundle.default_ingress, bundle.default_egress)
    for direction, action, source in zip(("ingress", "egress"), actions, bundle.default_source):
        yield {
            "rule": tables.DEFAULT_UID.format(direction),
            "direction": direction,
            "action": action.value,
            "mode": bundle.default_mode(direction).value,
            "peers": ["any"],
            "services": ["any"],
            "source": source,
        }


def _session(session: abi.Session, now: int, hz: int, uids: dict[int, str]) -> dict[str, Any]:
    return {
        "protocol": PROTOCOLS.get(session.protocol) or str(session.protocol),
        "local": str(session.local),
        "local_port": session.local_port,
        "remote": str(session.remote),
        "remote_port": session.remote_port,
        "opener": session.opener.name.lower(),
        "state": session.state.name.lower(),
        "rule": uids.get(session.rule, ""),
        "generation": session.generation,
        "flags": list(_flag_names(session.flags)),
        "age_s": round(max((now - session.last_seen) / hz, 0.0), 1),
        "packets": sum(session.packets),
        "bytes": sum(session.octets),
    }


@cache
def _flag_names(flags: abi.SessionFlag) -> tuple[str, ...]:
    return tuple(name for name, flag in FLAGS.items() if flag in flags)
