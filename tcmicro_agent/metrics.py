"""The tc_micro_* family for Prometheus, read from the kernel at every scrape; nothing is kept here."""

from __future__ import annotations

import itertools
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import CollectorRegistry, make_wsgi_app
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from tcmicro_agent import abi, listing, report
from tcmicro_agent.config import Config
from tcmicro_agent.datapath import events, trial
from tcmicro_agent.errors import StoreError
from tcmicro_agent.reconcile import Agent
from tcmicro_agent.sweep import Sweep
from tcmicro_agent.version import VERSION

Family = TypeVar("Family", GaugeMetricFamily, CounterMetricFamily)
Repairs = Mapping[tuple[str, str], int]  # by interface and direction
MAX_RULES = 500  # more rules than this are counted by `policy list` only


class AgentCollector(Collector):
    """One scrape: fresh handles, so a datapath that was replaced meanwhile is read, not the old one."""

    def __init__(
        self, agent: Agent, config: Callable[[], Config], sweep: Sweep, repairs: Repairs
    ) -> None:
        self._agent = agent
        self._config = config  # the present one: it may be reloaded
        self._sweep = sweep
        self._repairs = repairs

    def collect(self) -> Iterator[Metric]:
        state = report.enforcement(self._agent, self._config())
        yield _info(state)
        yield _gauge(
            "enforcing",
            "1 while a policy in protect mode rules on every interface",
            _enforcing(state),
        )
        yield _gauge(
            "policy_generation", "Number of the live generation", state["policy"]["generation"]
        )
        yield _hook_repairs(self._repairs)
        yield from _packets(self._agent)
        yield from _events(self._agent)
        yield from _floods(self._agent)
        yield from self._sessions()
        yield from self._rules()
        yield from _staged(self._agent, state["policy"]["staged"])

    def _sessions(self) -> Iterator[Metric]:
        sessions = self._agent.kernel.sessions
        counts, capacities = sessions.counts(), sessions.capacities()
        active = _family(GaugeMetricFamily, "sessions", "Tracked flows by table", "table")
        pressure = _family(GaugeMetricFamily, "map_pressure", "Used share of a map", "map")
        expired = _family(
            CounterMetricFamily, "sessions_expired", "Sessions deleted past their time", "table"
        )
        for table, used in counts.items():
            active.add_metric([table.name.lower()], used)
            pressure.add_metric([table.map_name], used / capacities[table])
            expired.add_metric([table.name.lower()], self._sweep.expired[table])
        yield _gauge("sessions_active", "Tracked flows", sum(counts.values()))
        yield from (active, pressure, expired)

    def _rules(self) -> Iterator[Metric]:
        rules = listing.policy(self._agent)["rules"]
        hits = CounterMetricFamily(
            "tc_micro_rule_hits", "Decisions by rule", labels=["rule", "action"]
        )
        for rule in rules if len(rules) <= MAX_RULES else []:
            hits.add_metric([rule["rule"], rule["action"]], rule["hits"])
        yield hits


def serve(address: str, port: int, collector: Collector) -> None:
    """Serves /metrics from a thread of its own; every other path says where to look."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(collector)
    exposition = make_wsgi_app(registry)

    def application(environ: dict[str, Any], start_response: Any) -> Any:
        if environ.get("PATH_INFO") == "/metrics":
            return exposition(environ, start_response)
        start_response("404 Not Found", [("Content-Type", "text/plain; charset=utf-8")])
        return [b"tcmicro agent: metrics are at /metrics\n"]

    kind = _Server6 if ":" in address else WSGIServer
    try:
        server = make_server(address, port, application, kind, _QuietHandler)
    except OSError as exc:
        raise StoreError(
            f"metrics: cannot listen on {address} port {port}: {exc.strerror}",
            hint="choose another metrics.port in /etc/tcmicro/agent.json",
        ) from exc
    threading.Thread(target=server.serve_forever, name="metrics", daemon=True).start()


class _Server6(WSGIServer):
    address_family = socket.AF_INET6


class _QuietHandler(WSGIRequestHandler):
    timeout = 5

    def log_message(self, *_: object) -> None:
        """Scrapes are not worth a log line."""


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(f"tc_micro_{name}", text, value=value)


def _family(kind: type[Family], name: str, text: str, label: str) -> Family:
    return kind(f"tc_micro_{name}", text, labels=[label])


def _info(state: dict[str, Any]) -> Metric:
    info = GaugeMetricFamily(
        "tc_micro_agent_info", "Release and hook of the agent", labels=["version", "hook"]
    )
    info.add_metric([VERSION, state["datapath"]["hook"] or "none"], 1)
    return info


def _enforcing(state: dict[str, Any]) -> int:
    protecting = state["policy"]["state"] != "none" and state["policy"]["mode"] == "protect"
    return int(protecting and not state["drift"])


def _staged(agent: Agent, staged: dict[str, Any] | None) -> Iterator[Metric]:
    compared = CounterMetricFamily(
        "tc_micro_staged_comparisons",
        "New flows by the verdicts of the live and of the staged policy",
        labels=["direction", "live", "staged"],
    )
    counted = trial.comparisons(agent.kernel)
    for direction, *verdicts in itertools.product(abi.Direction, abi.Verdict, abi.Verdict):
        labels = [direction.name.lower(), *(verdict.name.lower() for verdict in verdicts)]
        compared.add_metric(labels, counted[abi.comparison_index(direction, *verdicts)])
    yield compared
    for name, text in (
        ("generation", "Number of the staged generation, 0 when nothing is staged"),
        ("share", "Percent of the new flows that the staged policy judges now"),
    ):
        yield _gauge(f"staged_{name}", text, staged[name] if staged else 0)


def _hook_repairs(repairs: Repairs) -> Metric:
    found = CounterMetricFamily(
        "tc_micro_hook_repairs",
        "Programs of ours that somebody removed from an interface, put back",
        labels=["interface", "direction"],
    )
    for labels, count in dict(repairs).items():
        found.add_metric(list(labels), count)
    return found


def _packets(agent: Agent) -> Iterator[Metric]:
    total = CounterMetricFamily("tc_micro_packets", "Packets judged", labels=["direction"])
    size = CounterMetricFamily("tc_micro_bytes", "Bytes judged", labels=["direction"])
    allowed = CounterMetricFamily(
        "tc_micro_packets_allowed", "Packets let pass", labels=["direction", "reason", "bank"]
    )
    denied = CounterMetricFamily(
        "tc_micro_packets_denied", "Packets dropped", labels=["direction", "reason", "bank"]
    )
    audited = CounterMetricFamily(
        "tc_micro_packets_audit",
        "Packets that passed only because of monitor mode",
        labels=["direction", "reason"],
    )
    counted = agent.kernel.counters()
    for direction in abi.Direction:
        packets = octets = 0
        for bank, reason in itertools.product(abi.Bank, abi.Reason):
            labels = [direction.name.lower(), reason.name.lower(), bank.name.lower()]
            count, size_ = counted[abi.counter_index(direction, reason, bank)]
            if bank is abi.Bank.AUDITED and reason in abi.DENY_REASONS:
                audited.add_metric(labels[:2], count)
            elif bank is not abi.Bank.AUDITED:
                judged = denied if reason in abi.DENY_REASONS else allowed
                judged.add_metric(labels, count)
            packets, octets = packets + count, octets + size_
        total.add_metric([direction.name.lower()], packets)
        size.add_metric([direction.name.lower()], octets)
    yield from (total, size, allowed, denied, audited)
    yield from _cache(counted)


def _events(agent: Agent) -> Iterator[Metric]:
    told = events.told(agent.kernel)
    for name, value, text in (
        ("sent", told.sent, "Decisions told as events"),
        (
            "summed",
            told.summed,
            "Decisions told as part of a sum: over the rate, or the ring was full",
        ),
        (
            "unsummed",
            told.unsummed,
            "Decisions not told, no room for another sum: counters have them",
        ),
    ):
        yield CounterMetricFamily(f"tc_micro_events_{name}", text, value=value)


def _floods(agent: Agent) -> Iterator[Metric]:
    flood = report.syn_flood(agent)
    for name, text in (("listeners", "Ports of ours"), ("sources", "Source networks")):
        yield _gauge(f"syn_flood_{name}", f"{text} over their SYN limit", flood[name])
    busiest = GaugeMetricFamily(
        "tc_micro_syn_flood_listener", "1 for a port over its SYN limit", labels=["port"]
    )
    for listener in flood["listener"]:
        busiest.add_metric([str(listener["port"])], 1)
    yield busiest


def _cache(counted: Any) -> Iterator[Metric]:
    """The names users of the earlier system look for; a miss is a packet that needed the policy tables."""

    def packets(*reasons: abi.Reason) -> int:
        return sum(
            counted[abi.counter_index(direction, reason, bank)][0]
            for direction, reason, bank in itertools.product(abi.Direction, reasons, abi.Bank)
        )

    hits = packets(abi.Reason.SESSION, abi.Reason.ICMP_ERROR)
    misses = packets(
        abi.Reason.RULE_ALLOW,
        abi.Reason.DEFAULT_ALLOW,
        abi.Reason.RULE_DENY,
        abi.Reason.DEFAULT_DENY,
        abi.Reason.NO_SESSION,
        abi.Reason.REVOKED,
        abi.Reason.FAILSAFE,
    )
    yield CounterMetricFamily("tc_micro_session_cache_hits", "Packets of tracked flows", value=hits)
    yield CounterMetricFamily(
        "tc_micro_session_cache_misses", "Packets of no tracked flow", value=misses
    )
    yield CounterMetricFamily(
        "tc_micro_policy_lookups", "Judgements by the policy tables", value=misses
    )
    share = hits / (hits + misses) if hits + misses else 0.0
    yield _gauge(
        "cache_hit_rate", "hits / (hits + misses) since load; prefer the rates of both", share
    )
