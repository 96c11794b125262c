"""What this host did lately, as numbers: a line every ten seconds, in memory, for as long as a rollout may ask back.

Counters are those of the kernel since the datapath was loaded; values named `agent_…` and `tcp_rtt_…` count since the
agent started, which is `start`. What takes a walk over all sessions is taken from the sweep's last one.
"""

from __future__ import annotations

import itertools
import json
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from tcmicro_agent import abi, documents
from tcmicro_agent.abi import Direction, Reason
from tcmicro_agent.datapath import events, host
from tcmicro_agent.datapath.host import start_of
from tcmicro_agent.errors import StoreError
from tcmicro_agent.latency import Latency
from tcmicro_agent.reconcile import Agent
from tcmicro_agent.sessions import ANSWERED_TCP, HALF_OPEN, Chunk, Timeouts, remotes, unanswered
from tcmicro_agent.sweep import Sweep

EVERY_S = 10.0
LINES = 360  # in a file: an hour; there are two
LATE_S = 3
STALE_S = 3 * EVERY_S
MAX_PEERS = 64
CHUNKS = 4  # of a table of half-open sessions: 16,384 of them
FIRST_PACKETS = (Reason.RULE_ALLOW, Reason.DEFAULT_ALLOW)
Numbers = dict[str, float]


class Journal:
    """The lines, in two files of which the older one goes when the younger is full."""

    def __init__(self, directory: Path) -> None:
        self._files = directory / "previous", directory / "current"
        self._lines = sum(1 for _ in _lines(self._files[1]))

    def append(self, sample: Mapping[str, Any]) -> None:
        """Adds a line. A cut leaves at worst a part of one, which readers pass over."""
        previous, current = self._files
        try:
            current.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            if self._lines >= LINES:
                os.replace(current, previous)
                self._lines = 0
            with current.open("a") as handle:
                handle.write(json.dumps(sample, separators=(",", ":")) + "\n")
        except OSError as exc:
            raise StoreError(f"{current}: {exc.strerror}; no sample was recorded") from exc
        self._lines += 1

    def read(self, since_s: float) -> list[dict[str, Any]]:
        """The samples taken at `since_s` (seconds since boot) or later."""
        found = (sample for file in self._files for sample in map(_parse, _lines(file)) if sample)
        return [sample for sample in found if sample["t"] >= since_s]


class Recorder:
    """Takes a sample when one is due. `own`: numbers that the agent's process has of itself."""

    def __init__(self, agent: Agent, sweep: Sweep, own: Callable[[], Numbers]) -> None:
        self._agent = agent
        self._sweep = sweep
        self._own = own
        self._journal = Journal(directory(agent))
        self._start = start_of(os.getpid()) or 0
        self._latency = Latency(EVERY_S)
        self._due_s = 0.0
        self._last: tuple[float, Numbers] = 0.0, {}

    def step(self, now_s: float) -> None:
        """`now_s` is since boot."""
        if now_s < self._due_s:
            return
        self._due_s = now_s + EVERY_S
        found = {**datapath(self._agent, self._sweep), **process(), **self._own()}
        found.update(self._latency.measure())
        self._last = now_s, found
        self._journal.append(
            {
                "t": round(now_s, 3),
                "boot_id": self._agent.clock.boot_id(),
                "start": self._start,
                "values": found,
            }
        )

    def latest(self, now_s: float) -> Numbers:
        """What a scrape tells: nothing where no sample could be taken lately, so that a gap stays a gap."""
        taken_s, found = self._last
        return found if now_s - taken_s < STALE_S else {}


def directory(agent: Agent) -> Path:
    return agent.store.run / "samples"


def datapath(agent: Agent, sweep: Sweep) -> Numbers:
    """What the kernel counts and holds."""
    return {**packets(agent), **tables(sweep), **half_open(agent)}


def packets(agent: Agent) -> Numbers:
    counted = agent.kernel.counters()
    found: Numbers = {"packets": 0, "failsafe": 0}
    for way in Direction:
        sums: Numbers = dict.fromkeys(("allowed", "denied", "audited", "new"), 0)
        for bank, reason in itertools.product(abi.Bank, Reason):
            count = counted[abi.counter_index(way, reason, bank)][0]
            sums["denied" if abi.dropped(reason, bank) else "allowed"] += count
            sums["audited"] += count if bank is abi.Bank.AUDITED else 0
            sums["new"] += count if reason in FIRST_PACKETS else 0
            found["failsafe"] += count if reason is Reason.FAILSAFE else 0
        found["packets"] += sums["allowed"] + sums["denied"]
        found.update({f"{name}_{way.name.lower()}": count for name, count in sums.items()})
    return {**found, "events_lost": events.told(agent.kernel).unsummed}


def tables(sweep: Sweep) -> Numbers:
    """Sessions by table as of the sweep's last pass; none before its first one is over."""
    found: Numbers = {}
    for table, used in sweep.counted.items():
        name = table.name.lower()
        found[f"sessions_{name}"], found[f"capacity_{name}"] = used, sweep.capacities[table]
    shares = [used / sweep.capacities[table] for table, used in sweep.counted.items()]
    return {**found, "occupancy": round(max(shares, default=0.0), 6)}


def half_open(agent: Agent) -> Numbers:
    """TCP connections that nobody answers, by who opened them."""
    found = dict.fromkeys(Direction, 0)
    for half in late(agent, CHUNKS):
        for session in unanswered(*half):
            found[session.opener] += 1
    return {f"unanswered_{way.name.lower()}": count for way, count in found.items()}


def late(agent: Agent, most: int | None = None) -> Iterator[tuple[Chunk, Timeouts, int, int]]:
    """The half-open sessions, at most so many chunks a table, and what tells which of them nobody answers."""
    kernel = agent.kernel
    timeouts, now, patience = kernel.timeouts(), kernel.jiffies(), LATE_S * kernel.hz()
    for table in HALF_OPEN:
        for chunk in itertools.islice(kernel.sessions.chunks(table), most):
            yield chunk, timeouts, now, patience


def process() -> Numbers:
    """This process, and TCP of this network namespace."""
    return {
        "agent_rss_bytes": host.resident_bytes(),
        "agent_cpu_s": round(time.process_time(), 3),
        **host.tcp_segments(),
    }


def peers(agent: Agent, most: int = MAX_PEERS) -> list[dict[str, Any]]:
    """How many TCP connections this host has to each peer now, opened by it, and how many of these nobody answers: of
    the peers with most of these. Walks all TCP sessions."""
    silent: Counter[str] = Counter()
    for half in late(agent):
        silent.update(str(s.remote) for s in unanswered(*half) if s.opener is Direction.EGRESS)
    opened = Counter(silent)
    for chunk in agent.kernel.sessions.chunks(*ANSWERED_TCP):
        opened.update(map(str, remotes(chunk, Direction.EGRESS)))
    order = sorted(opened, key=lambda peer: (-silent[peer], -opened[peer], peer))
    return [
        {"address": peer, "opened": opened[peer], "unanswered": silent[peer]}
        for peer in order[:most]
    ]


def document(agent: Agent, since_s: float, *, with_peers: bool) -> dict[str, Any]:
    """The Samples document: those of the last `since_s` seconds, and what this host sees of its peers now."""
    now_s = agent.clock.boot_ms() / 1000
    found = Journal(directory(agent)).read(now_s - since_s)
    return documents.document(
        "Samples",
        now=now_s,
        boot_id=agent.clock.boot_id(),
        samples=found,
        peers=peers(agent) if with_peers and agent.kernel.loaded else None,
    )


def _lines(file: Path) -> Iterator[str]:
    with suppress(FileNotFoundError), file.open() as handle:
        yield from handle


def _parse(line: str) -> dict[str, Any] | None:
    try:
        found = json.loads(line)
    except ValueError:  # cut while it was written
        return None
    return found if isinstance(found, dict) and "t" in found else None
