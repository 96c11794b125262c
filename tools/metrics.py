"""`make format`: write docs/metrics.md, the page of every metric, from the agent's own catalogue."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from tcmicro_agent.metrics.catalogue import ALIASES, CATALOGUE, PREFIX, Metric
from tcmicro_agent.metrics.series import MOST
from tcmicro_agent.probe import INTERVAL_S, Why

PAGE = Path(__file__).resolve().parents[1] / "docs/metrics.md"

INTRODUCTION = f"""\
# Metrics

The agent serves them at `/metrics` of the address and port in `/etc/tcmicro/agent.json`, in Prometheus' text
format, and reads each from the kernel when it is scraped. Beside these come `process_*`: CPU, memory and open files
of the agent.

| key of `metrics` | role variable | meaning |
|---|---|---|
| `address` | `tcmicro_agent_metrics_address` | where it listens, `127.0.0.1`; `0.0.0.0` and `::` are all addresses |
| `port` | `tcmicro_agent_metrics_port` | 9931 |
| `networks` | `tcmicro_agent_metrics_networks` | clients from elsewhere get no byte; empty: everybody |
| `tls` | `tcmicro_agent_metrics_tls` | `certificate`, `key`: PEM files there; `client_ca`: its clients only |
| `aliases` | `tcmicro_agent_metrics_aliases` | whether the names of the earlier system are served too, see below |

All of it follows `systemctl reload tcmicro-agent`, new certificates as well. What cannot be followed, such as a
port that is taken, is refused with the whole configuration, and the one before goes on
(`tc_micro_config_reload_failed`, `agent.config_problem` of `tc-micro status`, TCMA0102 in [logs.md](logs.md)). A
host that starts under a file that is refused takes the last configuration that was accepted.

No label is an address, a name of a process or a path. A host has at most {MOST} series: what is over that is told
as one series with the label `other`, and `tc_micro_metrics_series_folded` says how many were. Counters begin at 0
when the datapath is loaded anew, or where it says so with the agent.

Written by `make format` from `tcmicro_agent/metrics/catalogue.py` and `tools/metrics.py`: change it there.

| name | type | labels | unit | meaning | look into it when |
|---|---|---|---|---|---|
"""

MEASURED = f"""
## Whether it enforces
`tc_micro_enforcing` is measured: every {INTERVAL_S:.0f} seconds, and at once when another policy or configuration
is in force, the agent looks whether its programs are on every guarded interface, and asks the kernel about up to
five flows per direction whose verdict the kept bundle tells: two strangers, what the first allowing and the first
refusing rule name, and the first failsafe. It leaves no session, counter or event behind.
`tc_micro_enforcing_reason` is 1 for one of these:

| reason | meaning | what to do |
|---|---|---|
"""

OLD_NAMES = """
## Names of the earlier system
With `aliases` these are served too, as sums over the labels that they did not have, without a type. All others of its
names are ours.

| old name | labels | what it is now |
|---|---|---|
"""

REASONS = {
    Why.NONE: ("it enforces", "nothing"),
    Why.NOT_LOADED: (
        "no datapath is loaded",
        "see why the agent does not load it: `journalctl -u tcmicro-agent`",
    ),
    Why.NO_POLICY: (
        "no policy is live",
        "apply one; `tc-micro status` says what this host confirmed last",
    ),
    Why.MONITOR: ("the policy or the host is in mode monitor", "nothing, or set mode protect"),
    Why.NO_INTERFACE: (
        "no interface is guarded",
        "see `interfaces` in agent.json, and `unguarded` of `tc-micro status`",
    ),
    Why.NOT_ATTACHED: (
        "a guarded interface lacks a program",
        "the agent puts it back within a second; if not, its log says why",
    ),
    Why.NO_BUNDLE: (
        "the bundle that is live is not kept",
        "apply it again: what the kernel ought to say is not known",
    ),
    Why.WRONG_ANSWER: (
        "the kernel judges a known flow otherwise",
        "the agent builds the policy anew within seconds (TCMA0208); if it stays, the log names the flow (TCMA0405): "
        "`tc-micro explain` shows both sides",
    ),
    Why.PROBE_FAILED: ("it could not be measured", "the log names the fault (TCMA0405)"),
}


def page(catalogue: Iterable[Metric] = CATALOGUE) -> str:
    rows = "".join(map(_row, catalogue))
    reasons = "".join(f"| `{why.value}` | {text} | {do} |\n" for why, (text, do) in REASONS.items())
    aliases = "".join(
        f"| `{PREFIX}{name}` | {_labels(labels)} | `{metric.exposed}` |\n"
        for name, (metric, labels) in ALIASES.items()
    )
    return INTRODUCTION + rows + MEASURED + reasons + OLD_NAMES + aliases


def _row(metric: Metric) -> str:
    folded = " Folded where there are too many." if metric.fold else ""
    cells = (
        f"`{metric.exposed}`",
        metric.kind.value,
        _labels(metric.labels),
        metric.unit,
        f"{metric.text}.{folded}",
        metric.alarm or "–",
    )
    return f"| {' | '.join(cells)} |\n"


def _labels(labels: tuple[str, ...]) -> str:
    return ", ".join(f"`{label}`" for label in labels) or "–"


def main() -> None:
    PAGE.write_text(page())


if __name__ == "__main__":
    main()
