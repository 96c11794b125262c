"""Every goal of `make bench` in one table, and how a figure is held against it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tests.bench.measure import MeasurementError, Spread

AT_MOST, AT_LEAST, ABOVE = "<=", ">=", ">"


@dataclass(frozen=True)
class Goal:
    """`gate`: steady enough here to stop a change for; the others are reported with their spread."""

    sense: str
    limit: float
    meaning: str
    unit: str = ""
    gate: bool = False

    def met(self, value: float) -> bool:
        if self.sense == AT_MOST:
            return value <= self.limit
        return value >= self.limit if self.sense == AT_LEAST else value > self.limit

    def missed_by(self, value: float) -> str:
        """How far a value is off: as a share of the limit, or as it is where the limit is 0; "" when met."""
        if self.met(value):
            return ""
        gap = abs(value - self.limit)
        return f"{gap / self.limit:.0%}" if self.limit else f"{gap:g}"

    def __str__(self) -> str:
        return f"{self.sense} {self.limit:g}"


@dataclass(frozen=True)
class Result:
    """One figure: its spread, and the raw figures it was made of by name."""

    key: str
    value: Spread
    raw: Mapping[str, float] = field(default_factory=dict)

    @property
    def goal(self) -> Goal:
        return GOALS[self.key]

    @property
    def met(self) -> bool:
        return self.goal.met(self.value.middle)


def complete(results: list[Result]) -> list[Result]:
    """In the order of the table. Raises MeasurementError for a figure that nobody took, or took twice."""
    found = {result.key: result for result in results}
    missing = [key for key in GOALS if key not in found]
    if missing or len(found) < len(results):
        raise MeasurementError(f"not measured, or twice: {', '.join(missing) or 'see above'}")
    return [found[key] for key in GOALS]


def _gate(limit: float, meaning: str) -> Goal:
    return Goal(AT_MOST, limit, meaning, gate=True)


def _most(limit: float, meaning: str, unit: str = "") -> Goal:
    return Goal(AT_MOST, limit, meaning, unit)


GOALS = {
    # one packet, by BPF_PROG_TEST_RUN
    "hit_v4_over_floor": _gate(2.6, "tracked flow, against a program that returns OK"),
    "hit_v6_net_over_v4_net": _gate(1.15, "IPv6 against IPv4, the floor taken off both"),
    "hit_16k_flows_over_1": _gate(1.15, "16,384 random tracked flows against one"),
    "hit_131k_flows_over_floor": _gate(7.5, "131,072 random tracked flows"),
    "deny_over_floor": _gate(8.5, "refused by 10 rules of 6 shapes, events within budget"),
    "denied_syn_flood_over_floor": _gate(8, "refused SYNs of 16M sources"),
    "new_session_under_flood_over_floor": _gate(17, "allowed SYNs of 16M sources, 150k sessions"),
    "lookup_growth_1k_hosts": _gate(1.15, "verdict on a new flow: 1k hosts, 10k rules / 10, 10"),
    "lookup_growth_100k_100k": _gate(4, "verdict on a new flow: 100k hosts, 100k rules / 10, 10"),
    # live traffic over veth, one CPU
    "rr_p50_over_nofilter": _most(1.025, "TCP request and response"),
    "rr_extra_over_nft_set_extra": _most(0.4, "what that adds, against what an nft set adds"),
    "connect_p50_over_nofilter_1k": _most(1.05, "connect, request, close; 1,000 rules"),
    "connect_p50_over_nofilter_10k": _most(1.05, "connect, request, close; 10,000 rules"),
    "connect_p50_10k_over_10": _most(1.02, "10,000 rules against 10"),
    "connect_p50_10k_over_nft_linear_10k": _most(0.30, "against 10,000 nft rules in a row"),
    "udp64_cpu_over_nofilter": _most(1.06, "sender's CPU per 64-byte datagram"),
    "refused_cpu_over_accepted_nofilter": _most(0.88, "a refused datagram / an accepted one"),
    "tcp1500_over_nofilter": Goal(AT_LEAST, 0.90, "one TCP stream in 1,500-byte packets"),
    "tcp1500_over_nft_set": Goal(AT_LEAST, 1.2, "the same against an nft set"),
    # changing the policy
    "swap_100k_over_nft_set_kernel": _most(0.15, "fill and flip / nft -f; 100k hosts and rules"),
    "swap_100k_over_nft_set_agent": _most(0.5, "from bundle file to live / nft -f"),
    "swap_wrong_verdicts": _most(0, "packets judged by a mix of two policies", "packets"),
    "swap_control_wrong_verdicts": Goal(
        ABOVE, 0, "the same test on a rewrite in place: it must show", "packets"
    ),
    # under attack
    "flood_established_lost": _most(0, "by 3x capacity SYNs, each sent twice", "sessions"),
    # what it takes
    "bytes_per_session_v4_150k": _most(150, "kernel memory of the map / its capacity", "bytes"),
    "bytes_per_session_v4_1m": _most(150, "the same at 1M", "bytes"),
    "bytes_per_session_v6_150k": _most(175, "the same for IPv6", "bytes"),
    "bytes_per_session_v6_1m": _most(175, "the same at 1M", "bytes"),
    "load_to_attached_s": _most(0.1, "a fresh agent process, from load to both hooks", "s"),
    "loader_rss_mb": _most(35, "resident memory of that process", "MB"),
    "dump_150k_sessions_ms": _most(60, "reading 150,000 sessions", "ms"),
    # the agent as it is installed
    "agent_rss_mb": _most(40, "the running agent: 10,000 rules, 150,000 sessions", "MB"),
    "agent_idle_cpu": _most(0.2, "the same: of one processor, with nothing to do", "%"),
    "scrape_500_rules_ms": _most(50, "one scrape of /metrics, 500 rules", "ms"),
    "start_to_enforcing_s": _most(0.5, "from nothing loaded to 1,000 rules in force", "s"),
    "restart_to_enforcing_s": _most(0.5, "the same where an agent ran before", "s"),
    "apply_1000_rules_ms": _most(150, "policy apply, from its start to in force for good", "ms"),
    "session_list_1m_first_line_s": _most(0.5, "session list of a million: its first line", "s"),
    "session_list_1m_rss_mb": _most(40, "the same: memory of the process", "MB"),
    # the policy language: 1,000 rules over 200 groups, on the controller
    "validate_1k_policies_s": _most(5, "reading 1,000 policies", "s"),
    "resolve_10k_hosts_s": _most(20, "the bundles of 10,000 hosts", "s"),
    "resolve_growth_1k_10k": _most(12, "10,000 hosts against 1,000"),
    "resolve_one_host_over_all": _most(0.1, "one host in another group, against all anew"),
    # the rollout, on the controller
    "plan_10k_hosts_s": _most(5, "waves, controls and coverage of 10,000 hosts", "s"),
}
