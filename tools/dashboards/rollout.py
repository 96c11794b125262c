"""A change on its way through the fleet: who has it, who waits, who took it back, what gates are given."""

from __future__ import annotations

from tools.dashboards.chart import BUILT, STARTED, Board, Chart, Kind, Query, Row, one, several

SAMPLE = "instance_value:tc_micro_sample:last"
LIVE = 'tc_micro_policy_revision_info{of,state="live"}'
CONFIRMED = 'tc_micro_policy_revision_info{of,state="confirmed"}'

NOW = (
    Chart(
        Kind.STAT,
        "Policies that wait",
        "Hosts under a policy that nobody has kept for good.",
        "none",
        one("sum(tc_micro_policy_pending{of})"),
        alerts=("TcMicroPolicyNotConfirmed",),
    ),
    Chart(
        Kind.STAT,
        "First deadline",
        "Until the first policy that waits is taken back; 0: none waits.",
        "s",
        one("min(tc_micro_policy_deadline_seconds{of} > 0) or vector(0)"),
        alerts=("TcMicroPolicyNotConfirmed",),
    ),
    Chart(
        Kind.STAT,
        "Releases that wait",
        "Hosts that run a release that nobody has confirmed.",
        "none",
        one("sum(tc_micro_release_pending{of})"),
        alerts=("TcMicroReleaseNotConfirmed",),
    ),
    Chart(
        Kind.STAT,
        "Taken back",
        "Policies that hosts took back within the time that is shown.",
        "none",
        one(
            'sum(increase(tc_micro_policy_changes_total{of,outcome="reverted"}[$__range])) or vector(0)'
        ),
        alerts=("TcMicroPolicyReverted",),
        red_from=1,
    ),
    Chart(
        Kind.STAT,
        "Live is not confirmed",
        "Hosts whose live policy is not the one they confirmed last.",
        "none",
        one(f"count({LIVE} unless on (instance, revision) {CONFIRMED}) or vector(0)"),
        alerts=("TcMicroPolicyNotConfirmed", "TcMicroPolicyReverted"),
    ),
    Chart(
        Kind.STAT,
        "Fresh samples",
        "Share of the hosts that gates could judge now by this server.",
        "percentunit",
        one(f'count({SAMPLE}{{of,value="packets"}}) / count(up{{of,job="tcmicro"}})'),
        alerts=("TcMicroSamplesMissing",),
        red_below=1,
    ),
)

OVER_TIME = (
    Chart(
        Kind.AREAS,
        "Hosts by release",
        "Releases of agents that run.",
        "none",
        several({"{{version}}": "count by (version) (tc_micro_agent_info{of})"}),
    ),
    Chart(
        Kind.AREAS,
        "Changes that wait",
        "Hosts between a change and its confirmation.",
        "none",
        several(
            {
                "policy": "sum(tc_micro_policy_pending{of})",
                "release": "sum(tc_micro_release_pending{of})",
                "staged": "count(tc_micro_staged_generation{of} > 0) or vector(0)",
            }
        ),
        alerts=("TcMicroPolicyNotConfirmed", "TcMicroReleaseNotConfirmed"),
    ),
    Chart(
        Kind.LINES,
        "Changes of policies by outcome",
        "Within five minutes.",
        "none",
        several(
            {"{{outcome}}": "sum by (outcome) (increase(tc_micro_policy_changes_total{of}[5m]))"}
        ),
        alerts=("TcMicroPolicyReverted",),
    ),
    Chart(
        Kind.LINES,
        "Agents that started",
        "Within five minutes, the ten hosts with most; a release that crashes starts again and again.",
        "none",
        several(
            {"{{instance}}": 'topk(10, changes(process_start_time_seconds{of,job="tcmicro"}[5m]))'}
        ),
        alerts=("TcMicroAgentRestarting",),
    ),
    Chart(
        Kind.LINES,
        "Share of flows under the staged policy",
        "The largest of any host.",
        "percentunit",
        several({"largest": "max(tc_micro_staged_share{of})"}),
    ),
    Chart(
        Kind.LINES,
        "Flows that the staged policy would close",
        "Allowed by the live policy, denied by the staged one.",
        "cps",
        several(
            {
                "{{instance}}": (
                    "topk(10, sum by (instance) "
                    '(rate(tc_micro_staged_comparisons_total{of,live="allow",staged="deny"}[$__rate_interval])))'
                )
            }
        ),
    ),
)

JUDGED = (
    Chart(
        Kind.LINES,
        "Denied packets, as gates see them",
        "Of the samples that waves are judged by: the ten hosts with most.",
        "pps",
        several(
            {"{{instance}}": f'topk(10, rate({SAMPLE}{{of,value=~"denied_.*"}}[$__rate_interval]))'}
        ),
        alerts=("TcMicroDenyAfterApply",),
    ),
    Chart(
        Kind.LINES,
        "Memory of agents, as gates see it",
        "The ten that take most.",
        "bytes",
        several({"{{instance}}": f'topk(10, {SAMPLE}{{of,value="agent_rss_bytes"}})'}),
    ),
    Chart(
        Kind.LINES,
        "CPU of agents, as gates see it",
        "Of one processor, the ten that take most.",
        "percentunit",
        several(
            {
                "{{instance}}": f'topk(10, rate({SAMPLE}{{of,value="agent_cpu_s"}}[$__rate_interval]))'
            }
        ),
    ),
    Chart(
        Kind.LINES,
        "Connections that nobody answers, as gates see them",
        "Half-open TCP connections, by who opened them.",
        "none",
        several({"{{value}}": f'sum by (value) ({SAMPLE}{{of,value=~"unanswered_.*"}})'}),
    ),
)
HOSTS = Chart(
    Kind.TABLE,
    "Hosts",
    "What each is on.",
    "none",
    (
        Query("max by (instance) (tc_micro_policy_generation{of})", "generation"),
        Query(
            "max by (instance) (tc_micro_policy_last_apply_timestamp_seconds{of}) * 1000",
            "policy built",
            "dateTimeFromNow",
        ),
        Query("max by (instance) (tc_micro_policy_pending{of})", "policy waits"),
        Query("max by (instance) (tc_micro_release_pending{of})", "release waits"),
        Query("max by (instance) (tc_micro_staged_generation{of})", "staged generation"),
        Query("max by (instance, version) (tc_micro_agent_info{of})"),
    ),
)

BOARD = Board(
    "rollout",
    "tcmicro / Rollout",
    "A change on its way through the fleet: who has it, who waits, who took it back, what gates are given.",
    (*NOW, *OVER_TIME),
    (Row("What gates are given", JUDGED), Row("Every host", (HOSTS,))),
    (BUILT, STARTED),
)
