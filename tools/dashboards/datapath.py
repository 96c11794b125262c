"""Whether the kernel side is well: room in maps, time a packet, floods, events, hooks; whether all is told."""

from __future__ import annotations

from tools.dashboards.chart import Board, Chart, Kind, Query, Row, one, several

NOW = (
    Chart(
        Kind.STAT,
        "Fullest map",
        "Used share of the fullest map of any host.",
        "percentunit",
        one("max(tc_micro_map_pressure{of})"),
        alerts=("TcMicroMapAlmostFull",),
        red_from=0.8,
    ),
    Chart(
        Kind.STAT,
        "Interfaces without programs",
        "Interfaces that are to be guarded and lack a program of ours.",
        "none",
        one(
            'sum(tc_micro_interfaces{of,state="guarded"}) - sum(tc_micro_interfaces{of,state="attached"})'
        ),
        alerts=("TcMicroNotEnforcing",),
        red_from=1,
    ),
    Chart(
        Kind.STAT,
        "Programs put back",
        "Removed by somebody within the time that is shown, and put back.",
        "none",
        one("sum(increase(tc_micro_hook_repairs_total{of}[$__range])) or vector(0)"),
        alerts=("TcMicroHooksRemoved",),
        red_from=1,
    ),
    Chart(
        Kind.STAT,
        "Under a SYN flood",
        "Ports and source networks over their limit of new connections.",
        "none",
        one("sum(tc_micro_syn_flood_listeners{of}) + sum(tc_micro_syn_flood_sources{of})"),
        alerts=("TcMicroSynFlood",),
        red_from=1,
    ),
    Chart(
        Kind.STAT,
        "Untold decisions",
        "Of the time that is shown: events had no room for them, counters have them.",
        "none",
        one("sum(increase(tc_micro_events_unsummed_total{of}[$__range]))"),
        alerts=("TcMicroEventsLost",),
        red_from=1,
    ),
    Chart(
        Kind.STAT,
        "Missing from scrapes",
        "Parts of metrics that hosts could not read within the time that is shown.",
        "none",
        one("sum(increase(tc_micro_scrape_failures_total{of}[$__range])) or vector(0)"),
        alerts=("TcMicroScrapeIncomplete",),
        red_from=1,
    ),
)

OVER_TIME = (
    Chart(
        Kind.LINES,
        "Map pressure",
        "Used share of each map, on the host where it is fullest.",
        "percentunit",
        several({"{{map}}": "topk(10, max by (map) (tc_micro_map_pressure{of}))"}),
        alerts=("TcMicroMapAlmostFull",),
        red_from=0.8,
    ),
    Chart(
        Kind.LINES,
        "Time a packet",
        "Of each program, the slowest host; only where kernel.bpf_stats_enabled is 1.",
        "s",
        several(
            {
                "{{program}}": (
                    "max by (program) (rate(tc_micro_bpf_run_seconds_total{of}[$__rate_interval])"
                    " / rate(tc_micro_bpf_runs_total{of}[$__rate_interval]))"
                )
            }
        ),
        alerts=("TcMicroDatapathSlow",),
        red_from=2e-6,
    ),
    Chart(
        Kind.LINES,
        "SYN floods",
        "Connections refused because their source opened too many, and ports that went over their limit.",
        "cps",
        several(
            {
                "refused": "sum(rate(tc_micro_tcp_syn_dropped_total{of}[$__rate_interval]))",
                "ports over their limit": "sum(rate(tc_micro_tcp_syn_floods_detected_total{of}[$__rate_interval]))",
            }
        ),
        alerts=("TcMicroSynFlood",),
    ),
    Chart(
        Kind.AREAS,
        "Decisions told",
        "As events, as parts of sums, or not.",
        "cps",
        several(
            {
                "sent": "sum(rate(tc_micro_events_sent_total{of}[$__rate_interval]))",
                "summed": "sum(rate(tc_micro_events_summed_total{of}[$__rate_interval]))",
                "untold": "sum(rate(tc_micro_events_unsummed_total{of}[$__rate_interval]))",
            }
        ),
        alerts=("TcMicroEventsLost",),
    ),
    Chart(
        Kind.LINES,
        "Sessions deleted past their time",
        "By table.",
        "cps",
        several(
            {
                "{{table}}": "sum by (table) (rate(tc_micro_sessions_expired_total{of}[$__rate_interval]))"
            }
        ),
    ),
    Chart(
        Kind.LINES,
        "Steps that fail",
        "Of the agents' loops; their log says why.",
        "none",
        several({"{{step}}": "sum by (step) (tc_micro_agent_failing{of})"}),
        alerts=("TcMicroStepFailing",),
        red_from=1,
    ),
)

ROOM = (
    Chart(
        Kind.TABLE,
        "Maps",
        "The most entries on any host, how many fit there, and kernel memory.",
        "none",
        (
            Query("max by (map) (tc_micro_map_entries{of})", "entries"),
            Query("max by (map) (tc_micro_map_capacity{of})", "capacity"),
            Query("max by (map) (tc_micro_map_pressure{of})", "used", "percentunit"),
            Query("max by (map) (tc_micro_map_memory_bytes{of})", "memory", "bytes"),
        ),
        alerts=("TcMicroMapAlmostFull",),
    ),
    Chart(
        Kind.BARS,
        "Ports over their SYN limit",
        "The busiest, by how many hosts.",
        "none",
        several({"{{port}}": "sum by (port) (tc_micro_syn_flood_listener{of})"}),
        alerts=("TcMicroSynFlood",),
    ),
)
TOLD = (
    Chart(
        Kind.LINES,
        "Time of a scrape",
        "The ten slowest hosts.",
        "s",
        several({"{{instance}}": 'topk(10, scrape_duration_seconds{of,job="tcmicro"})'}),
    ),
    Chart(
        Kind.LINES,
        "Series of a host",
        "At most 2,000; more are told as one.",
        "none",
        several(
            {
                "most": "max(tc_micro_metrics_series{of})",
                "left out": "max(tc_micro_metrics_series_folded{of})",
            }
        ),
        alerts=("TcMicroSeriesFolded",),
    ),
    Chart(
        Kind.LINES,
        "Requests for metrics",
        "By what became of them; refused ones came from networks that may not scrape.",
        "reqps",
        several(
            {
                "{{outcome}}": "sum by (outcome) (rate(tc_micro_metrics_requests_total{of}[$__rate_interval]))"
            }
        ),
    ),
    Chart(
        Kind.LINES,
        "Flows asked about",
        "Of known verdict, by the last measurement of whether a host enforces: the lowest of any host.",
        "none",
        several({"lowest": "min(tc_micro_probe_answers{of})"}),
        alerts=("TcMicroNotEnforcing",),
    ),
    Chart(
        Kind.TABLE,
        "Configurations",
        "When a host accepted its last one.",
        "dateTimeFromNow",
        (
            Query(
                "max by (instance) (tc_micro_config_last_reload_timestamp_seconds{of}) * 1000",
                "accepted",
            ),
        ),
        alerts=("TcMicroConfigRefused",),
    ),
)

BOARD = Board(
    "datapath",
    "tcmicro / Datapath health",
    "Whether the kernel side is well: room in maps, time a packet, floods, events, hooks; whether all is told.",
    (*NOW, *OVER_TIME),
    (Row("Room", ROOM), Row("What hosts tell", TOLD)),
)
