"""What happens on this host right now, sample by sample. Reads only; follows events where nobody else does."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from tcmicro_agent import decisions, documents, follower, listing, report
from tcmicro_agent.abi import Verdict
from tcmicro_agent.datapath.events import Ring
from tcmicro_agent.events import Event, reason_name, verdict
from tcmicro_agent.reconcile import Agent
from tcmicro_agent.store import LockedError

RECENT_S = 60
MOST_EVENTS = 20_000  # kept of the last minute; a flood is summed anyway
FILL_EVERY = 5  # samples: counting sessions reads all of them

Denied = tuple[float, str, str, str]  # when, peer, its name, service


@dataclass
class Sample:
    """Counters at one moment, and what was refused in the last minute."""

    at: float
    status: Mapping[str, Any]
    counters: Mapping[tuple[str, str], int]  # by direction and verdict
    rules: list[dict[str, Any]]
    sums: Mapping[str, int]  # refused and summed, by service
    fill: Mapping[str, tuple[int, int]]
    denied: list[Denied] = field(default_factory=list)
    follows: bool = False


class Live:
    """Samples of one agent. `ring` is None where somebody else follows the events."""

    def __init__(self, agent: Agent, ring: Ring | None) -> None:
        self._agent = agent
        self._ring = ring
        self._denied: deque[Denied] = deque(maxlen=MOST_EVENTS)
        self._since_ns = agent.clock.boot_ms() * 1_000_000
        self._fill: dict[str, tuple[int, int]] = {}
        self._samples = 0

    def sample(self) -> Sample:
        agent, now = self._agent, time.monotonic()
        self._follow(now)
        if self._samples % FILL_EVERY == 0:
            self._fill = self._count()
        self._samples += 1
        listed = listing.policy(agent)
        return Sample(
            at=now,
            status=_policy(agent),
            counters=_verdicts(listing.stats(agent)["counters"]),
            rules=listed["rules"],
            sums=_sums(decisions.sums(agent)["sums"]),
            fill=self._fill,
            denied=list(self._denied),
            follows=self._ring is not None,
        )

    def _count(self) -> dict[str, tuple[int, int]]:
        sessions = self._agent.kernel.sessions
        rooms = sessions.capacities()
        return {t.name.lower(): (n, rooms[t]) for t, n in sessions.counts().items()}

    def _follow(self, now: float) -> None:
        generations = decisions.Generations(self._agent)
        while self._ring and (taken := self._ring.take()):
            for event in taken:
                if _refused(event) and event.time_ns >= self._since_ns:
                    name = generations.names(event.generation).identity(event.identity)
                    self._denied.append((now, str(event.remote or ""), name, _service(event)))
        while self._denied and self._denied[0][0] < now - RECENT_S:
            self._denied.popleft()


@contextmanager
def opened(agent: Agent) -> Iterator[Live]:
    """Follows the events for the length of a `with`, unless somebody does already."""
    with ExitStack() as stack:
        ring = None
        with suppress(LockedError):
            stack.enter_context(follower.alone(agent.store, ()))
            ring = stack.enter_context(closing(Ring(agent.kernel)))
        yield Live(agent, ring)


def document(before: Sample, now: Sample) -> dict[str, Any]:
    """The Top document: what changed a second between two samples. Pure."""
    seconds = max(now.at - before.at, 0.001)
    peers = Counter((peer, name) for _, peer, name, _ in now.denied)
    services = Counter(service for *_, service in now.denied)
    for service, packets in now.sums.items():
        services[service] += max(packets - before.sums.get(service, 0), 0)
    hits = {row["rule"]: row["hits"] for row in before.rules}
    return documents.document(
        "Top",
        **now.status,
        interval_s=round(seconds, 1),
        packets=[
            {
                "direction": direction,
                "verdict": judged,
                "packets": packets,
                "packets_per_s": _rate(
                    packets, before.counters.get((direction, judged), 0), seconds
                ),
            }
            for (direction, judged), packets in now.counters.items()
        ],
        rules=[
            {**row, "hits_per_s": _rate(row["hits"], hits.get(row["rule"], row["hits"]), seconds)}
            for row in now.rules
        ],
        denied={
            "follows": now.follows,
            "recent_s": RECENT_S,
            "peers": [{"peer": p, "name": n, "packets": c} for (p, n), c in peers.most_common(20)],
            "services": [{"service": s, "packets": c} for s, c in services.most_common(20) if c],
        },
        sessions=[
            {"table": name, "sessions": n, "room": room} for name, (n, room) in now.fill.items()
        ],
    )


def _rate(after: int, before: int, seconds: float) -> float:
    return round(max(after - before, 0) / seconds, 1)


def _policy(agent: Agent) -> dict[str, Any]:
    observed = agent.observe()
    live = observed.live
    found = report.transaction(agent.transaction(), agent.clock.boot_ms())
    staged = observed.staged
    return {
        "generation": live.generation,
        "digest": live.digest if live.generation else "",
        "mode": live.mode.name.lower(),
        "state": "none" if not live.generation else "pending" if observed.pending else "committed",
        "deadline_in_s": found["deadline_in_s"] if found and observed.pending else None,
        "staged_generation": staged.generation if staged else None,
    }


def _verdicts(rows: list[dict[str, Any]]) -> dict[tuple[str, str], int]:
    """Packets by direction and `allow`, `deny` or `audit` (passed only because of monitor mode)."""
    found = {(d, v): 0 for d in ("ingress", "egress") for v in ("allow", "deny", "audit")}
    for row in rows:
        kind = "audit" if row["bank"] == "audited" else row["verdict"]
        found[row["direction"], kind] += row["packets"]
    return found


def _sums(rows: list[dict[str, Any]]) -> dict[str, int]:
    found: Counter[str] = Counter()
    for row in rows:
        if row["verdict"] == "deny" or row["bank"] == "audited":
            service = f"{row['protocol']}/{row['port']}" if row["port"] else row["protocol"]
            found[f"{row['direction']} {service} {row['reason']}"] += row["packets"]
    return dict(found)


def _refused(event: Event) -> bool:
    return verdict(event.reason, event.bank) is Verdict.DENY or event.bank.name == "AUDITED"


def _service(event: Event) -> str:
    """As in a sum: direction, protocol and port of whoever was called, reason."""
    port = event.local_port if event.direction.name == "INGRESS" else event.remote_port
    protocol = listing.PROTOCOLS.get(event.protocol, str(event.protocol))
    service = f"{protocol}/{port}" if port and protocol != "icmp" else protocol
    return f"{event.direction.name.lower()} {service} {reason_name(event.reason)}"
