# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a wave is well: what must hold on every host after a change of release. Pure.

Each host is described by two looks of agent_info, before its change and after the bake. Missing data never
passes: a host that does not answer fails, one that answers half is inconclusive.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import Enum

from ansible_collections.tcmicro.fleet.plugins.plugin_utils.looks import (
    Look,
    first_line,
    running,
    trouble,
)


class Outcome(Enum):
    """In order of precedence."""

    FAIL = "fail"
    ERROR = "error"
    INCONCLUSIVE = "inconclusive"
    PASS = "pass"


@dataclass(frozen=True)
class Reason:
    """What was found on a host, with its numbers."""

    host: str
    outcome: Outcome
    text: str


@dataclass(frozen=True)
class Verdict:
    outcome: Outcome
    reasons: tuple[Reason, ...]


@dataclass(frozen=True)
class Evidence:
    """All that is known of a wave. `failures`: what already went wrong, by host."""

    release: str
    seconds: int
    before: Mapping[str, Look]
    after: Mapping[str, Look]
    failures: Mapping[str, str]


def judge(hosts: Iterable[str], evidence: Evidence) -> Verdict:
    """The verdict over a wave: the worst of its hosts; a wave without hosts is an error."""
    named = sorted(hosts)
    reasons = [reason for host in named for reason in _judge_host(host, evidence)]
    if not named:
        reasons.append(Reason("wave", Outcome.ERROR, "no hosts to judge"))
    worst = next((o for o in Outcome if any(r.outcome is o for r in reasons)), Outcome.PASS)
    return Verdict(worst, tuple(reasons))


def unwell(info: Look | None) -> list[str]:
    """Why a host is in no state to be changed, or to be left alone; [] when it is."""
    lost = trouble(info)
    if lost or info is None:
        return [lost]
    try:
        return [text for check in (_service, _datapath, _transaction) for text in check(info)]
    except (KeyError, TypeError, AttributeError) as exc:
        return [f"its status lacks {exc}"]


def table(hosts: Iterable[str], verdict: Verdict) -> list[str]:
    """The verdict for people: one line per host, and the outcome."""
    lines = []
    for host in sorted(hosts):
        texts = [f"{r.outcome.value}: {r.text}" for r in verdict.reasons if r.host == host]
        lines.append(f"{host:<16} {'; '.join(texts) or 'pass'}")
    return [*lines, f"{'gate':<16} {verdict.outcome.value}"]


def _judge_host(host: str, evidence: Evidence) -> list[Reason]:
    if host in evidence.failures:
        return [Reason(host, Outcome.FAIL, first_line(evidence.failures[host]))]
    before, after = evidence.before.get(host), evidence.after.get(host)
    lost = trouble(after)
    if lost or after is None:
        return [Reason(host, Outcome.FAIL, lost)]
    if trouble(before) or before is None:
        return [Reason(host, Outcome.INCONCLUSIVE, "how it was before the change is not known")]
    try:
        return [
            Reason(host, Outcome.FAIL, text)
            for check in CHECKS
            for text in check(before, after, evidence)
        ]
    except (KeyError, TypeError, AttributeError) as exc:
        return [Reason(host, Outcome.INCONCLUSIVE, f"its status lacks {exc}")]


def _service(info: Look) -> Iterable[str]:
    if info["service"]["active"] is not True:
        yield f"the service is {info['service']['state']}"
    elif info["status"]["agent"]["running"] is not True:
        yield "the service is active, yet the agent does not run"


def _datapath(info: Look) -> Iterable[str]:
    datapath = info["status"]["datapath"]
    if datapath["loaded"] is not True:
        yield "the datapath is not loaded"
    if not datapath["interfaces"]:
        yield "no interface is guarded"
    for interface in datapath["interfaces"]:
        bare = [way for way in ("ingress", "egress") if not interface[way]]
        if bare:
            yield f"{interface['name']} is not guarded on {' and '.join(bare)}"


def _transaction(info: Look) -> Iterable[str]:
    transaction = info["status"]["transaction"]
    if transaction and transaction["state"] == "pending":
        yield f"a policy change is pending (generation {transaction['generation']})"


# --- what must hold between the two looks


def _well(before: Look, after: Look, evidence: Evidence) -> Iterable[str]:
    yield from (text for check in (_service, _datapath, _transaction) for text in check(after))


def _release(before: Look, after: Look, evidence: Evidence) -> Iterable[str]:
    if running(after) not in (None, evidence.release):
        yield f"it runs release {running(after)}, wanted {evidence.release}"


def _restarts(before: Look, after: Look, evidence: Evidence) -> Iterable[str]:
    """systemd counts from 0 again when the unit is restarted on request, as a change of release does."""
    changed = running(before) != running(after)
    count = after["service"]["restarts"] - (0 if changed else before["service"]["restarts"])
    if count:
        yield f"{count} restarts in {evidence.seconds} s, allowed 0"


def _interfaces(before: Look, after: Look, evidence: Evidence) -> Iterable[str]:
    lost = _names(before) - _names(after)
    if lost:
        yield f"no longer guarded: {', '.join(sorted(lost))}"


def _policy(before: Look, after: Look, evidence: Evidence) -> Iterable[str]:
    was, now = before["status"]["policy"], after["status"]["policy"]
    if (was["generation"], was["digest"]) != (now["generation"], now["digest"]):
        yield f"the policy is another: generation {was['generation']} before, {now['generation']} now"


def _drift(before: Look, after: Look, evidence: Evidence) -> Iterable[str]:
    if after["status"]["drift"]:
        yield f"the kernel differs from what is recorded: {after['status']['drift'][0]}"


def _names(info: Look) -> set[str]:
    return {interface["name"] for interface in info["status"]["datapath"]["interfaces"]}


CHECKS: tuple[Callable[[Look, Look, Evidence], Iterable[str]], ...] = (
    _restarts,
    _well,
    _release,
    _interfaces,
    _policy,
    _drift,
)
