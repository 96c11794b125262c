"""The fleet at a glance: who protects, what passes, who needs somebody to look."""

from __future__ import annotations

from tools.dashboards.chart import STARTED, Board, Chart, Kind, Query, Row, one, several

NOW = (
    Chart(
        Kind.STAT,
        "Agents",
        "Those that are scraped, well or not.",
        "none",
        one('count(up{of,job="tcmicro"})'),
        alerts=("TcMicroNoTargets",),
    ),
    Chart(
        Kind.STAT,
        "Agents down",
        "Hosts whose agent does not answer. Their kernel goes on enforcing.",
        "none",
        one('sum(1 - up{of,job="tcmicro"})'),
        alerts=("TcMicroAgentDown",),
        red_from=1,
    ),
    Chart(
        Kind.STAT,
        "Enforcing",
        "Share of the hosts that enforce, measured on each by asking its kernel about flows of known verdict.",
        "percentunit",
        one("avg(tc_micro_enforcing{of})"),
        alerts=("TcMicroNotEnforcing",),
    ),
    Chart(
        Kind.STAT,
        "Unprotected",
        "Hosts of mode protect that do not enforce.",
        "none",
        one(
            'count(tc_micro_enforcing{of} == 0 and on (instance) tc_micro_mode_info{of,mode="protect"} == 1)'
            " or vector(0)"
        ),
        alerts=("TcMicroNotEnforcing", "TcMicroNoPolicy"),
        red_from=1,
    ),
    Chart(
        Kind.STAT,
        "Not as configured",
        "Hosts with findings under drift in tc-micro status.",
        "none",
        one("count(tc_micro_drift{of} > 0) or vector(0)"),
        alerts=("TcMicroDrift",),
        red_from=1,
    ),
    Chart(
        Kind.STAT,
        "Alerts",
        "Alerts of tcmicro that fire now.",
        "none",
        one(
            'count(ALERTS{alertname=~"TcMicro.*",alertstate="firing",groups=~"(.*,$group,.*)?",instance=~"$host"})'
            " or vector(0)"
        ),
        red_from=1,
    ),
)

OVER_TIME = (
    Chart(
        Kind.AREAS,
        "Packets by verdict",
        "Denied are dropped. Audited pass only because of mode monitor, and are part of the allowed.",
        "pps",
        several(
            {
                "allowed": "sum(rate(tc_micro_packets_allowed_total{of}[$__rate_interval]))",
                "denied": "sum(rate(tc_micro_packets_denied_total{of}[$__rate_interval]))",
                "audited": "sum(rate(tc_micro_packets_audit_total{of}[$__rate_interval]))",
            }
        ),
        alerts=("TcMicroDropRateHigh",),
    ),
    Chart(
        Kind.LINES,
        "Denied packets by reason",
        "What each reason means is in docs/reasons.md; those that never came are left out.",
        "pps",
        several(
            {
                "{{reason}}": "topk(10, sum by (reason) (rate(tc_micro_packets_denied_total{of}[$__rate_interval])))"
            }
        ),
        alerts=("TcMicroDropRateHigh", "TcMicroDenySpike"),
    ),
    Chart(
        Kind.LINES,
        "Session cache hit rate",
        "Share of the packets that belong to a tracked flow and take the short way.",
        "percentunit",
        several(
            {
                "fleet": (
                    "sum(rate(tc_micro_session_cache_hits_total{of}[$__rate_interval]))"
                    " / (sum(rate(tc_micro_session_cache_hits_total{of}[$__rate_interval]))"
                    " + sum(rate(tc_micro_session_cache_misses_total{of}[$__rate_interval])))"
                ),
                "lowest host": "min(instance:tc_micro_session_cache_hits:ratio_rate5m{of})",
            }
        ),
        alerts=("TcMicroCacheHitRateLow",),
    ),
    Chart(
        Kind.AREAS,
        "Active sessions",
        "Tracked flows, by the table they are in.",
        "none",
        several({"{{table}}": "sum by (table) (tc_micro_sessions{of})"}),
    ),
    Chart(
        Kind.AREAS,
        "Hosts by release",
        "Releases of agents that run.",
        "none",
        several({"{{version}}": "count by (version) (tc_micro_agent_info{of})"}),
    ),
    Chart(
        Kind.AREAS,
        "Hosts by why they do not enforce",
        "none: they enforce. The other reasons are in docs/metrics.md.",
        "none",
        several({"{{reason}}": "sum by (reason) (tc_micro_enforcing_reason{of}) > 0"}),
        alerts=("TcMicroNotEnforcing", "TcMicroNoPolicy"),
    ),
)

HOSTS = Chart(
    Kind.TABLE,
    "Hosts",
    "The latest of every host; denied by the last five minutes.",
    "none",
    (
        Query("min by (instance) (tc_micro_enforcing{of})", "enforcing"),
        Query("max by (instance) (tc_micro_policy_generation{of})", "generation"),
        Query("sum by (instance) (instance:tc_micro_packets:rate5m{of})", "packets", "pps"),
        Query(
            "max by (instance) (instance:tc_micro_packets_denied:ratio_rate5m{of})",
            "denied",
            "percentunit",
        ),
        Query("max by (instance) (tc_micro_sessions_active{of})", "sessions"),
        Query("max by (instance) (tc_micro_map_pressure{of})", "fullest map", "percentunit"),
    ),
)
ALERTS = Chart(
    Kind.LINES,
    "Alerts that fire",
    "By name; none: a line that is always there.",
    "none",
    several(
        {
            "{{alertname}}": (
                'count by (alertname) (ALERTS{alertname=~"TcMicro.*",alertstate="firing",'
                'groups=~"(.*,$group,.*)?",instance=~"$host"})'
                ' or label_replace(vector(0), "alertname", "none", "", "")'
            )
        }
    ),
)
NETWORK = (
    Chart(
        Kind.LINES,
        "Traffic",
        "Bytes judged, by direction.",
        "Bps",
        several(
            {
                "{{direction}}": "sum by (direction) (rate(tc_micro_bytes_total{of}[$__rate_interval]))"
            }
        ),
    ),
    Chart(
        Kind.LINES,
        "Hosts that deny the largest share",
        "Of their packets, over five minutes.",
        "percentunit",
        several({"{{instance}}": "topk(10, instance:tc_micro_packets_denied:ratio_rate5m{of})"}),
        alerts=("TcMicroDropRateHigh",),
        red_from=0.1,
    ),
)

BOARD = Board(
    "fleet",
    "tcmicro / Fleet",
    "Who protects, what passes, who needs somebody to look.",
    (*NOW, *OVER_TIME),
    (
        Row("Every host", (HOSTS,)),
        Row("Alerts", (ALERTS,)),
        Row("Traffic", NETWORK),
    ),
    (STARTED,),
)
