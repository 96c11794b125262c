"""What the kernel counts and holds: packets, sessions, floods, events, maps and programs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import product

from prometheus_client.core import Metric as Exposed

from tcmicro_agent import abi, report
from tcmicro_agent.abi import Bank, Direction, Reason
from tcmicro_agent.datapath import events as told_events
from tcmicro_agent.datapath.kernel import Kernel
from tcmicro_agent.datapath.layouts import LAYOUTS
from tcmicro_agent.metrics import catalogue as c
from tcmicro_agent.reconcile import Agent
from tcmicro_agent.sweep import Sweep
from tcmicro_agent.tables import POLICY_MAPS
from tcmicro_agent.watch import Watch

Counted = Mapping[int, tuple[int, int]]  # packets and bytes by counter

HITS = (Reason.SESSION, Reason.ICMP_ERROR)
LOOKUPS = {
    "match": (Reason.RULE_ALLOW, Reason.RULE_DENY),
    "default": (Reason.DEFAULT_ALLOW, Reason.DEFAULT_DENY),
    "other": (Reason.NO_SESSION, Reason.REVOKED, Reason.FAILSAFE),
}
# what ends in a new session: counted once per flow
NEW = (Reason.RULE_ALLOW, Reason.DEFAULT_ALLOW, Reason.FORWARD_ALLOW)
OTHER_HASHES = ("tcm_failsafe", "tcm_vlans", "tcm_differences", "tcm_sums")


def packets(kernel: Kernel) -> Iterator[Exposed]:
    counted = kernel.counters()
    yield from _totals(counted)
    yield from _verdicts(counted)
    for metric, reasons in ((c.CONNECTIONS_NEW, NEW), (c.FAILSAFE_PACKETS, (Reason.FAILSAFE,))):
        found = {way.name.lower(): _sum(counted, reasons, (way,)) for way in Direction}
        yield c.several(metric, found)
    yield c.single(c.SYN_DROPPED, _sum(counted, (Reason.SYN_FLOOD,)))
    yield from _cache(counted)


def _totals(counted: Counted) -> Iterator[Exposed]:
    for metric, field in ((c.PACKETS, 0), (c.BYTES, 1)):
        found = {way.name.lower(): _sum(counted, Reason, (way,), field) for way in Direction}
        yield c.several(metric, found)


def _verdicts(counted: Counted) -> Iterator[Exposed]:
    allowed, denied = c.PACKETS_ALLOWED.family(), c.PACKETS_DENIED.family()
    audited = c.PACKETS_AUDIT.family()
    for way, bank, reason in product(Direction, Bank, Reason):
        count = counted[abi.counter_index(way, reason, bank)][0]
        labels = [way.name.lower(), reason.name.lower(), bank.name.lower()]
        if abi.dropped(reason, bank):
            denied.add_metric(labels, count)
        elif bank is not Bank.AUDITED or reason in abi.DENY_REASONS:
            allowed.add_metric(labels, count)
        if bank is Bank.AUDITED and reason in abi.DENY_REASONS:
            audited.add_metric(labels[:2], count)
    yield from (allowed, denied, audited)


def _cache(counted: Counted) -> Iterator[Exposed]:
    """A miss is a packet that needed the policy tables."""
    lookups = {outcome: _sum(counted, reasons) for outcome, reasons in LOOKUPS.items()}
    hits, misses = _sum(counted, HITS), sum(lookups.values())
    yield c.single(c.CACHE_HITS, hits)
    yield c.single(c.CACHE_MISSES, misses)
    yield c.several(c.POLICY_LOOKUPS, lookups)
    yield c.single(c.CACHE_HIT_RATE, hits / (hits + misses) if hits + misses else 0.0)


def _sum(
    counted: Counted,
    reasons: Iterable[Reason],
    ways: Iterable[Direction] = Direction,
    field: int = 0,
) -> int:
    return sum(
        counted[abi.counter_index(way, reason, bank)][field]
        for way, reason, bank in product(ways, reasons, Bank)
    )


def sessions(kernel: Kernel, sweep: Sweep) -> Iterator[Exposed]:
    counts = sweep.counts(kernel)
    yield c.several(c.SESSIONS, {table.name.lower(): n for table, n in counts.items()})
    yield c.single(c.SESSIONS_ACTIVE, sum(counts.values()))
    yield c.several(
        c.SESSIONS_EXPIRED, {table.name.lower(): sweep.expired[table] for table in counts}
    )


def events(kernel: Kernel) -> Iterator[Exposed]:
    told = told_events.told(kernel)
    yield c.single(c.EVENTS_SENT, told.sent)
    yield c.single(c.EVENTS_SUMMED, told.summed)
    yield c.single(c.EVENTS_UNSUMMED, told.unsummed)


def floods(agent: Agent, watch: Watch) -> Iterator[Exposed]:
    flood = report.syn_flood(agent)
    yield c.single(c.FLOODS_DETECTED, watch.floods)
    yield c.single(c.FLOOD_LISTENERS, flood["listeners"])
    yield c.single(c.FLOOD_SOURCES, flood["sources"])
    yield c.several(c.FLOOD_LISTENER, {str(found["port"]): 1 for found in flood["listener"]})


class Maps:
    """Those of the policy are counted when a slot holds another generation: they change with no other. Those of
    sessions are counted by the sweep."""

    def __init__(self, kernel: Kernel, sweep: Sweep) -> None:
        self._kernel = kernel
        self._sweep = sweep
        self._counted: tuple[tuple[int, ...], dict[str, int]] = ((), {})

    def collect(self) -> Iterator[Exposed]:
        capacity = {name: self._kernel.map(name).capacity() for name in LAYOUTS}
        entries = {**self._of_policy(), **self._of_sessions(), **self._count(OTHER_HASHES)}
        yield c.several(c.MAP_ENTRIES, entries)
        yield c.several(c.MAP_CAPACITY, capacity)
        yield c.several(
            c.MAP_MEMORY, {name: self._kernel.map(name).memory_bytes() for name in LAYOUTS}
        )
        yield c.several(
            c.MAP_PRESSURE, {name: used / capacity[name] for name, used in entries.items()}
        )

    def _of_policy(self) -> dict[str, int]:
        generations = tuple(header.generation for header in self._kernel.headers())
        if self._counted[0] != generations:
            self._counted = generations, self._count(POLICY_MAPS)
        return self._counted[1]

    def _of_sessions(self) -> dict[str, int]:
        return {table.map_name: n for table, n in self._sweep.counts(self._kernel).items()}

    def _count(self, names: Iterable[str]) -> dict[str, int]:
        return {name: self._kernel.map(name).count() for name in names}


def programs(kernel: Kernel) -> Iterator[Exposed]:
    found = kernel.programs.runs()
    yield c.several(c.BPF_RUNS, {name: runs for name, (runs, _) in found.items()})
    yield c.several(c.BPF_RUN_SECONDS, {name: ns / 1e9 for name, (_, ns) in found.items()})
