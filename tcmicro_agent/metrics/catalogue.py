"""Every metric there is: its type, labels and unit, what it means, and from when it is a reason to look. Pure.

docs/metrics.md is made of it, and the collector can make no family that does not stand here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Union

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

PREFIX = "tc_micro_"

Family = Union[CounterMetricFamily, GaugeMetricFamily]


class Kind(Enum):
    COUNTER = "counter"
    GAUGE = "gauge"


class Fold(Enum):
    """What one series says that stands for many."""

    SUM = "sum"
    LEAST = "least"


@dataclass(frozen=True)
class Metric:
    """`name` without prefix, a counter's without `_total`. `fold`: it may have more series than are told."""

    name: str
    kind: Kind
    labels: tuple[str, ...]
    unit: str
    text: str
    alarm: str = ""
    fold: Fold | None = None

    @property
    def exposed(self) -> str:
        """As a query names it."""
        return f"{PREFIX}{self.name}{'_total' if self.kind is Kind.COUNTER else ''}"

    def family(self) -> Family:
        kind = CounterMetricFamily if self.kind is Kind.COUNTER else GaugeMetricFamily
        return kind(PREFIX + self.name, self.text, labels=self.labels)


def counter(
    name: str, labels: str, unit: str, text: str, alarm: str = "", fold: Fold | None = None
) -> Metric:
    return Metric(name, Kind.COUNTER, tuple(labels.split()), unit, text, alarm, fold)


def gauge(
    name: str, labels: str, unit: str, text: str, alarm: str = "", fold: Fold | None = None
) -> Metric:
    return Metric(name, Kind.GAUGE, tuple(labels.split()), unit, text, alarm, fold)


# --- does it enforce ---

ENFORCING = gauge(
    "enforcing",
    "",
    "0 or 1",
    "1 while programs of ours are on every guarded interface, the live policy is in mode protect, and the kernel "
    "judges "
    "known flows rightly; measured, at least every 15 seconds",
    "0 where the host is to protect",
)
ENFORCING_REASON = gauge(
    "enforcing_reason",
    "reason",
    "0 or 1",
    "1 for why it does not enforce; none: it does",
    "any but none and monitor",
)
PROBES = counter(
    "probes", "", "probes", "Measurements of tc_micro_enforcing", "no increase for 1 min"
)
PROBE_ANSWERS = gauge(
    "probe_answers", "", "flows", "Flows of known verdict, all judged rightly last"
)
INTERFACES = gauge(
    "interfaces",
    "state",
    "interfaces",
    "Interfaces that are to be guarded, and of them those with both programs of ours",
    "attached below guarded",
)
HOOK_REPAIRS = counter(
    "hook_repairs",
    "interface direction",
    "programs",
    "Programs of ours that somebody removed from an interface, put back",
    "any increase",
    Fold.SUM,
)
SAMPLE = gauge(
    "sample",
    "value",
    "by value",
    "The latest numbers of tc-micro samples, counters too: what waves of a rollout are judged by",
)
DRIFT = gauge(
    "drift", "", "findings", "How much is not as configured; status names each", "over 0 for 5 min"
)

# --- policy ---

MODE_INFO = gauge("mode_info", "mode", "1", "Ceiling of this host: no policy enforces more")
POLICY_GENERATION = gauge(
    "policy_generation", "", "number", "Number of the live generation; 0: none"
)
POLICY_REVISION = gauge(
    "policy_revision_info",
    "state revision",
    "1",
    "Digests, cut short, of the live, the confirmed, the previous and the staged policy",
    "live is not what was rolled out",
)
POLICY_RULES = gauge(
    "policy_rules", "mode", "rules", "Rules of the live bundle, by the mode they have here"
)
POLICIES = gauge(
    "policies", "mode", "policies", "Policies that its rules come from, by the mode they have here"
)
POLICY_PENDING = gauge(
    "policy_pending", "", "0 or 1", "1 while a change waits to be confirmed", "1 for 15 min"
)
POLICY_DEADLINE = gauge(
    "policy_deadline_seconds",
    "",
    "seconds",
    "Until a change that waits is taken back; 0: none waits",
)
POLICY_LAST_APPLY = gauge(
    "policy_last_apply_timestamp_seconds", "", "seconds", "When a policy was built last; 0: never"
)
POLICY_CHANGES = counter(
    "policy_changes",
    "outcome",
    "changes",
    "Changes of the policy since the agent started, by how they ended",
    "any increase of reverted",
)
LOCAL_RULES = gauge("local_rules", "", "rules", "Temporary rules of this host", "over 0 for a day")
RULE_HITS = counter(
    "rule_hits", "rule action", "flows", "New flows that a rule or default decided", "", Fold.SUM
)
RULE_EXPIRY = gauge(
    "rule_expiry_timestamp_seconds",
    "rule",
    "seconds",
    "When a rule with expires ends; of many that are told as one, the first",
    "in less than 3 days",
    Fold.LEAST,
)
RELEASE_PENDING = gauge(
    "release_pending", "", "0 or 1", "1 while a release waits to be confirmed", "1 for 15 min"
)

# --- the staged policy ---

STAGED_COMPARISONS = counter(
    "staged_comparisons",
    "direction live staged",
    "flows",
    "New flows by the verdicts of the live and of the staged policy",
    "allow to deny that nobody wants",
)
STAGED_GENERATION = gauge(
    "staged_generation", "", "number", "Number of the staged generation; 0: nothing is staged"
)
STAGED_SHARE = gauge(
    "staged_share", "", "ratio", "Share of the new flows that the staged policy judges now"
)

# --- policies pulled from a mirror ---

PULL_RESULT = gauge(
    "pull_result",
    "result",
    "0 or 1",
    "1 for what the last pull came to (docs/pull.md); none: this host does not pull",
)
PULL_LAST = gauge(
    "pull_last_timestamp_seconds",
    "",
    "seconds",
    "When this host last looked at its mirror; 0: never",
)
PULL_WELL = gauge(
    "pull_last_well_timestamp_seconds",
    "",
    "seconds",
    "When it last ran, or was to wait for, what the mirror names; 0: never",
)

# --- packets ---

PACKETS = counter(
    "packets", "direction", "packets", "Packets judged: those allowed and those denied"
)
BYTES = counter("bytes", "direction", "bytes", "Bytes judged")
PACKETS_ALLOWED = counter("packets_allowed", "direction reason bank", "packets", "Packets let pass")
PACKETS_DENIED = counter(
    "packets_denied",
    "direction reason bank",
    "packets",
    "Packets dropped",
    "five times the rate of the hour before",
)
PACKETS_AUDIT = counter(
    "packets_audit",
    "direction reason",
    "packets",
    "Packets that passed only because of monitor mode",
    "before the host gets mode protect: any that are wanted",
)
CONNECTIONS_NEW = counter("connections_new", "direction", "flows", "Flows that were let in or out")
FAILSAFE_PACKETS = counter(
    "failsafe_packets",
    "direction",
    "packets",
    "Packets that the failsafe alone kept open",
    "any increase: a rule is missing",
)
POLICY_LOOKUPS = counter(
    "policy_lookups",
    "outcome",
    "packets",
    "Judgements by the policy tables: a rule matched, a default decided, or something else did",
)
CACHE_HITS = counter("session_cache_hits", "", "packets", "Packets of tracked flows")
CACHE_MISSES = counter("session_cache_misses", "", "packets", "Packets of no tracked flow")
CACHE_HIT_RATE = gauge(
    "cache_hit_rate",
    "",
    "ratio",
    "hits / (hits + misses) since load; prefer rate(hits) / rate(hits + misses)",
    "below 0.7 for 5 min",
)

# --- sessions, floods, events ---

SESSIONS = gauge("sessions", "table", "flows", "Tracked flows by table")
SESSIONS_ACTIVE = gauge("sessions_active", "", "flows", "Tracked flows")
SESSIONS_EXPIRED = counter(
    "sessions_expired",
    "table",
    "flows",
    "Sessions deleted past their time, since the agent started",
)
FLOODS_DETECTED = counter(
    "tcp_syn_floods_detected",
    "",
    "floods",
    "Ports of ours that went over their SYN limit, since the agent started",
    "any increase",
)
SYN_DROPPED = counter(
    "tcp_syn_dropped", "", "packets", "Connections refused because their source opened too many"
)
FLOOD_LISTENERS = gauge(
    "syn_flood_listeners", "", "ports", "Ports of ours over their SYN limit", "over 0"
)
FLOOD_SOURCES = gauge(
    "syn_flood_sources", "", "networks", "Source networks over their SYN limit", "over 0"
)
FLOOD_LISTENER = gauge(
    "syn_flood_listener", "port", "1", "1 for a port over its SYN limit, the busiest 20"
)
EVENTS_SENT = counter("events_sent", "", "decisions", "Decisions told as events")
EVENTS_SUMMED = counter(
    "events_summed",
    "",
    "decisions",
    "Decisions told as part of a sum: over the rate, or the ring was full",
)
EVENTS_UNSUMMED = counter(
    "events_unsummed",
    "",
    "decisions",
    "Decisions not told, no room for another sum: counters have them",
    "any increase: evidence is incomplete",
)

# --- the kernel's maps and programs ---

MAP_ENTRIES = gauge("map_entries", "map", "entries", "Entries in a map")
MAP_CAPACITY = gauge("map_capacity", "map", "entries", "Entries that a map holds at most")
MAP_MEMORY = gauge("map_memory_bytes", "map", "bytes", "Kernel memory of a map")
MAP_PRESSURE = gauge("map_pressure", "map", "ratio", "Used share of a map", "over 0.8 for 5 min")
BPF_RUNS = counter(
    "bpf_runs", "program", "runs", "Runs of a program; only while kernel.bpf_stats_enabled is 1"
)
BPF_RUN_SECONDS = counter(
    "bpf_run_seconds",
    "program",
    "seconds",
    "Time in a program; only while kernel.bpf_stats_enabled is 1",
    "over 2 µs a run",
)

# --- the agent itself ---

AGENT_INFO = gauge(
    "agent_info", "version hook kernel", "1", "Release of the agent, hook of its programs, kernel"
)
LOOPS = counter("agent_loops", "", "rounds", "Rounds of the agent's loop", "no increase for 1 min")
LOOP_SECONDS = counter("agent_loop_seconds", "", "seconds", "Time spent in rounds, without waiting")
FAILING = gauge(
    "agent_failing",
    "step",
    "0 or 1",
    "1 for a step of the loop that fails; the log says why",
    "1 for 5 min",
)
LOG_LINES = counter(
    "log_lines", "code", "lines", "Lines logged since the agent started, see docs/logs.md"
)
CONFIG_RELOAD_FAILED = gauge(
    "config_reload_failed",
    "",
    "0 or 1",
    "1 while agent.json is refused and the one before is in force",
    "1",
)
CONFIG_LAST_RELOAD = gauge(
    "config_last_reload_timestamp_seconds", "", "seconds", "When a configuration was accepted last"
)
SCRAPE_FAILURES = counter(
    "scrape_failures",
    "part",
    "parts",
    "Parts of a scrape that failed and are missing",
    "any increase",
)
REQUESTS = counter(
    "metrics_requests", "outcome", "requests", "Requests for /metrics by what became of them"
)
SERIES = gauge("metrics_series", "", "series", "Series of this host, at most 2000")
SERIES_FOLDED = gauge(
    "metrics_series_folded",
    "",
    "series",
    "Series that were left out and are in one with the label other instead",
    "over 0: queries by rule are incomplete",
)

CATALOGUE: tuple[Metric, ...] = tuple(
    value for value in list(globals().values()) if isinstance(value, Metric)
)

# Names of the earlier system that are not ours anyway; served where `metrics.aliases` says so.
ALIASES = {
    "packets_allowed": (PACKETS_ALLOWED, ("direction",)),
    "packets_denied": (PACKETS_DENIED, ("direction",)),
    "session_cache_hits": (CACHE_HITS, ()),
    "session_cache_misses": (CACHE_MISSES, ()),
    "tcp_syn_floods_detected": (FLOODS_DETECTED, ()),
}


def single(metric: Metric, value: float) -> Family:
    """The family of a metric without labels."""
    found = metric.family()
    found.add_metric([], value)
    return found


def several(metric: Metric, values: Mapping[str, float]) -> Family:
    """The family of a metric with one label."""
    found = metric.family()
    for label, value in values.items():
        found.add_metric([label], value)
    return found


def states(metric: Metric, present: str, known: Iterable[str]) -> Family:
    """One series per state that can be, 1 for the present one."""
    return several(metric, {state: float(state == present) for state in known})
