"""What policies do: rules and their use, what they refuse or would refuse, what ends soon."""

from __future__ import annotations

from tools.dashboards.chart import BUILT, Board, Chart, Kind, Query, Row, one, several

UNUSED = "sum by (rule) (tc_micro_rule_hits_total{of}) == 0"
ENDS = "tc_micro_rule_expiry_timestamp_seconds{of}"

NOW = (
    Chart(
        Kind.STAT,
        "Rules in force",
        "Rules of the live bundles, summed over hosts, by the mode they have there.",
        "none",
        several({"{{mode}}": "sum by (mode) (tc_micro_policy_rules{of})"}),
    ),
    Chart(
        Kind.STAT,
        "Rules nobody uses",
        "Rules and defaults that decided no flow on any host since its datapath was loaded.",
        "none",
        one(f"count({UNUSED}) or vector(0)"),
    ),
    Chart(
        Kind.STAT,
        "End within three days",
        "Rules with expires that end soon.",
        "none",
        one(f"count({ENDS} - time() < 259200 and {ENDS} > time()) or vector(0)"),
        alerts=("TcMicroRuleExpiring",),
        red_from=1,
    ),
    Chart(
        Kind.STAT,
        "Temporary rules",
        "Rules of single hosts that no policy file has.",
        "none",
        one("sum(tc_micro_local_rules{of})"),
        alerts=("TcMicroLocalRulesLinger",),
    ),
    Chart(
        Kind.STAT,
        "Hosts without a policy",
        "Of those in mode protect.",
        "none",
        one(
            'count(tc_micro_enforcing_reason{of,reason="no_policy"} == 1'
            ' and on (instance) tc_micro_mode_info{of,mode="protect"} == 1) or vector(0)'
        ),
        alerts=("TcMicroNoPolicy",),
        red_from=1,
    ),
    Chart(
        Kind.STAT,
        "Series told as one",
        "Over 0, queries by rule are incomplete.",
        "none",
        one("sum(tc_micro_metrics_series_folded{of})"),
        alerts=("TcMicroSeriesFolded",),
        red_from=1,
    ),
)

OVER_TIME = (
    Chart(
        Kind.LINES,
        "Rules that decide most",
        "New flows, by rule.",
        "cps",
        several(
            {
                "{{rule}} {{action}}": (
                    "topk(10, sum by (rule, action) (rate(tc_micro_rule_hits_total{of}[$__rate_interval])))"
                )
            }
        ),
    ),
    Chart(
        Kind.LINES,
        "Refused by rules and defaults",
        "Without what is malformed, late or flooding; the ten hosts that refuse most.",
        "pps",
        several({"{{instance}}": "topk(10, instance:tc_micro_policy_denials:rate5m{of})"}),
        alerts=("TcMicroDenyAfterApply", "TcMicroDenySpike"),
    ),
    Chart(
        Kind.LINES,
        "Would be refused",
        "Packets that pass only because of mode monitor: look at them before hosts get mode protect.",
        "pps",
        several(
            {
                "{{direction}} {{reason}}": (
                    "topk(10, sum by (direction, reason) (rate(tc_micro_packets_audit_total{of}[$__rate_interval])))"
                )
            }
        ),
    ),
    Chart(
        Kind.AREAS,
        "Judged by the tables",
        "First packets: by a rule, by a default, or by something else.",
        "pps",
        several(
            {
                "{{outcome}}": "sum by (outcome) (rate(tc_micro_policy_lookups_total{of}[$__rate_interval]))"
            }
        ),
    ),
    Chart(
        Kind.LINES,
        "Kept open by the failsafe alone",
        "Packets that the policy would have refused: a rule is missing.",
        "pps",
        several(
            {
                "{{direction}}": "sum by (direction) (rate(tc_micro_failsafe_packets_total{of}[$__rate_interval]))"
            }
        ),
        alerts=("TcMicroFailsafeUsed",),
    ),
    Chart(
        Kind.LINES,
        "Staged against live",
        "New flows per second by both verdicts, where a policy is staged; deny after allow is what it would close.",
        "cps",
        several(
            {
                "{{live}}, staged {{staged}}": (
                    "sum by (live, staged) (rate(tc_micro_staged_comparisons_total{of}[$__rate_interval]))"
                )
            }
        ),
    ),
)

LISTS = (
    Chart(
        Kind.TABLE,
        "Which rules nobody uses",
        "At most fifty. Defaults are rules too.",
        "none",
        (Query(f"topk(50, {UNUSED})", "flows"),),
    ),
    Chart(
        Kind.TABLE,
        "Rules that end",
        "The next twenty, and when.",
        "dateTimeFromNow",
        (Query(f"bottomk(20, min by (rule) ({ENDS})) * 1000", "ends"),),
        alerts=("TcMicroRuleExpiring",),
    ),
    Chart(
        Kind.TABLE,
        "Policies of hosts",
        "How many policies each host's bundle comes from, by mode.",
        "none",
        (
            Query('max by (instance) (tc_micro_policies{of,mode="protect"})', "protect"),
            Query('max by (instance) (tc_micro_policies{of,mode="monitor"})', "monitor"),
        ),
    ),
)

WHO_PULLS = "tc_micro_pull_last_timestamp_seconds{of} > 0"
WELL_AT = "tc_micro_pull_last_well_timestamp_seconds{of}"
PULLS = (
    Chart(
        Kind.LINES,
        "What the last pull came to",
        "Hosts that fetch their policy from a mirror, by what their last pull came to; nothing where none does.",
        "none",
        several(
            {
                "{{result}}": f"sum by (result) (tc_micro_pull_result{{of}} and on (instance) {WHO_PULLS})"
            }
        ),
        alerts=("TcMicroPullBehind",),
    ),
    Chart(
        Kind.TABLE,
        "Longest without a pull",
        "The twenty hosts whose timer looked at the mirror longest ago.",
        "dateTimeFromNow",
        (Query(f"bottomk(20, {WHO_PULLS}) * 1000", "looked"),),
    ),
    Chart(
        Kind.TABLE,
        "Longest behind their pointer",
        "The twenty hosts that ran what the mirror names longest ago.",
        "dateTimeFromNow",
        (Query(f"bottomk(20, {WELL_AT} and {WHO_PULLS}) * 1000", "well"),),
    ),
)

BOARD = Board(
    "policy",
    "tcmicro / Policy",
    "What policies do: rules and their use, what they refuse or would refuse, what ends soon.",
    (*NOW, *OVER_TIME),
    (Row("Lists", LISTS), Row("Hosts that pull", PULLS)),
    (BUILT,),
)
