"""One host: whether it enforces, what it lets pass, what it costs."""

from __future__ import annotations

from tools.dashboards.chart import BUILT, HOST, STARTED, Board, Chart, Kind, Row, one, several

NOW = (
    Chart(
        Kind.WORD,
        "Why it does not enforce",
        "none: it does. The other reasons, and what to do about them, are in docs/metrics.md.",
        "none",
        several({"{{reason}}": "tc_micro_enforcing_reason{of} == 1"}),
        alerts=("TcMicroNotEnforcing", "TcMicroNoPolicy", "TcMicroAgentDown"),
    ),
    Chart(
        Kind.WORD,
        "Mode",
        "Ceiling of this host: no policy enforces more.",
        "none",
        several({"{{mode}}": "tc_micro_mode_info{of} == 1"}),
    ),
    Chart(
        Kind.WORD,
        "Release",
        "Of the agent that runs.",
        "none",
        several({"{{version}}": "tc_micro_agent_info{of}"}),
    ),
    Chart(
        Kind.STAT,
        "Generation",
        "Number of the live generation; 0: no policy.",
        "none",
        one("tc_micro_policy_generation{of}"),
    ),
    Chart(
        Kind.STAT,
        "Not as configured",
        "Findings under drift in tc-micro status.",
        "none",
        one("tc_micro_drift{of}"),
        alerts=("TcMicroDrift",),
        red_from=1,
    ),
    Chart(
        Kind.STAT,
        "Configuration",
        "Whether agent.json is refused and the one before is in force.",
        "none",
        one("tc_micro_config_reload_failed{of}"),
        alerts=("TcMicroConfigRefused",),
        red_from=1,
        names=((0, "accepted"), (1, "refused")),
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
                "allowed {{direction}}": (
                    "sum by (direction) (rate(tc_micro_packets_allowed_total{of}[$__rate_interval]))"
                ),
                "denied {{direction}}": (
                    "sum by (direction) (rate(tc_micro_packets_denied_total{of}[$__rate_interval]))"
                ),
                "audited {{direction}}": (
                    "sum by (direction) (rate(tc_micro_packets_audit_total{of}[$__rate_interval]))"
                ),
            }
        ),
        alerts=("TcMicroDropRateHigh",),
    ),
    Chart(
        Kind.LINES,
        "Packets by reason",
        "The ten most frequent reasons to pass or not, as in docs/reasons.md.",
        "pps",
        several(
            {
                "{{reason}}": (
                    "topk(10, sum by (reason) (rate(tc_micro_packets_allowed_total{of}[$__rate_interval])"
                    " or rate(tc_micro_packets_denied_total{of}[$__rate_interval])))"
                )
            }
        ),
        alerts=("TcMicroDenySpike",),
    ),
    Chart(
        Kind.LINES,
        "Session cache hit rate",
        "Share of the packets that belong to a tracked flow and take the short way.",
        "percentunit",
        several(
            {
                "five minutes": "instance:tc_micro_session_cache_hits:ratio_rate5m{of}",
                "since load": "tc_micro_cache_hit_rate{of}",
            }
        ),
        alerts=("TcMicroCacheHitRateLow",),
        red_below=0.7,
    ),
    Chart(
        Kind.AREAS,
        "Active sessions",
        "Tracked flows, by the table they are in.",
        "none",
        several({"{{table}}": "tc_micro_sessions{of}", "all": "tc_micro_sessions_active{of}"}),
    ),
    Chart(
        Kind.LINES,
        "Map pressure",
        "Used share of each map of the kernel.",
        "percentunit",
        several({"{{map}}": "tc_micro_map_pressure{of}"}),
        alerts=("TcMicroMapAlmostFull",),
        red_from=0.8,
    ),
    Chart(
        Kind.LINES,
        "New connections",
        "Flows that were let in or out.",
        "cps",
        several({"{{direction}}": "rate(tc_micro_connections_new_total{of}[$__rate_interval])"}),
    ),
)

AGENT = (
    Chart(
        Kind.LINES,
        "CPU of the agent",
        "Of one processor; packets are judged without the agent.",
        "percentunit",
        several(
            {
                "process": 'rate(process_cpu_seconds_total{of,job="tcmicro"}[$__rate_interval])',
                "its loop": "rate(tc_micro_agent_loop_seconds_total{of}[$__rate_interval])",
            }
        ),
    ),
    Chart(
        Kind.LINES,
        "Memory",
        "Resident memory of the agent, and what maps take in the kernel.",
        "bytes",
        several(
            {
                "agent": 'process_resident_memory_bytes{of,job="tcmicro"}',
                "maps": "sum(tc_micro_map_memory_bytes{of})",
            }
        ),
    ),
    Chart(
        Kind.LINES,
        "Rounds of the agent",
        "Of its loop, and measurements of whether it enforces. Without any for two minutes it stands still.",
        "cps",
        several(
            {
                "rounds": "rate(tc_micro_agent_loops_total{of}[$__rate_interval])",
                "measurements": "rate(tc_micro_probes_total{of}[$__rate_interval])",
            }
        ),
        alerts=("TcMicroAgentStuck", "TcMicroAgentRestarting"),
    ),
    Chart(
        Kind.LINES,
        "Log lines",
        "By code, as in docs/logs.md.",
        "cps",
        several({"{{code}}": "topk(10, rate(tc_micro_log_lines_total{of}[$__rate_interval]))"}),
        alerts=("TcMicroStepFailing",),
    ),
)

BOARD = Board(
    "host",
    "tcmicro / Host",
    "One host: whether it enforces, what it lets pass, what it costs.",
    (*NOW, *OVER_TIME),
    (Row("The agent itself", AGENT),),
    (BUILT, STARTED),
    of=HOST,
)
