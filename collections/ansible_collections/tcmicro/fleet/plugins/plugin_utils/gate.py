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
from typing import Any

Info = Mapping[str, Any]


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
    before: Mapping[str, Info]
    after: Mapping[str, Info]
    failures: Mapping[str, str]


def judge(hosts: Iterable[str], evidence: Evidence) -> Verdict:
    """The verdict over a wave: the worst of its hosts; a wave without hosts is an error."""
    named = sorted(hosts)
    reasons = [reason for host in named for reason in _judge_host(host, evidence)]
    if not named:
        reasons.append(Reason("wave", Outcome.ERROR, "no hosts to judge"))
    worst = next((o for o in Outcome if any(r.outcome is o for r in reasons)), Outcome.PASS)
    return Verdict(worst, tuple(reasons))


def unwell(info: Info | None) -> list[str]:
    """Why a host is in no state to be changed, or to be left alone; [] when it is."""
    reasons = _contact(info)
    if reasons or info is None:
        return reasons
    try:
        return [text for check in (_service, _datapath, _transaction) for text in check(info)]
    except (KeyError, TypeError, AttributeError) as exc:
        return [f"its status lacks {exc}"]


def table(hosts: Iterable[str], verdict: Verdict) -> str:
    """The verdict for people: one line per host, worst news first within it."""
    lines = []
    for host in sorted(hosts):
        texts = [f"{r.outcome.value}: {r.text}" for r in verdict.reasons if r.host == host]
        lines.append(f"{host:<16} {'; '.join(texts) or 'pass'}")
    return "\n".join([*lines, f"{'gate':<16} {verdict.outcome.value}"])


def _judge_host(host: str, evidence: Evidence) -> list[Reason]:
    if host in evidence.failures:
        return [Reason(host, Outcome.FAIL, evidence.failures[host])]
    before, after = evidence.before.get(host), evidence.after.get(host)
    lost = _contact(after)
    if lost or after is None:
        return [Reason(host, Outcome.FAIL, text) for text in lost]
    if _contact(before) or before is None:
        return [Reason(host, Outcome.INCONCLUSIVE, "how it was before the change is not known")]
    try:
        return [
            Reason(host, Outcome.FAIL, text)
            for check in CHECKS
            for text in check(before, after, evidence)
        ]
    except (KeyError, TypeError, AttributeError) as exc:
        return [Reason(host, Outcome.INCONCLUSIVE, f"its status lacks {exc}")]


def _contact(info: Info | None) -> list[str]:
    if info is None:
        return ["nothing was heard from it"]
    if info.get("unreachable"):
        return [f"no contact: {_first_line(info.get('msg'))}"]
    if info.get("failed"):
        return [f"looking at it failed: {_first_line(info.get('msg'))}"]
    if not info.get("status"):
        return [_first_line(info.get("problem") or info.get("msg") or "it reports no status")]
    return []


def _service(info: Info) -> Iterable[str]:
    if info["service"]["active"] is not True:
        yield f"the service is {info['service']['state']}"
    if info["status"]["agent"]["running"] is not True:
        yield "the agent does not run"


def _datapath(info: Info) -> Iterable[str]:
    datapath = info["status"]["datapath"]
    if datapath["loaded"] is not True:
        yield "the datapath is not loaded"
    if not datapath["interfaces"]:
        yield "no interface is guarded"
    for interface in datapath["interfaces"]:
        bare = [way for way in ("ingress", "egress") if not interface[way]]
        if bare:
            yield f"{interface['name']} is not guarded on {' and '.join(bare)}"


def _transaction(info: Info) -> Iterable[str]:
    transaction = info["status"]["transaction"]
    if transaction and transaction["state"] == "pending":
        yield f"a policy change is pending (generation {transaction['generation']})"


# --- what must hold between the two looks


def _well(before: Info, after: Info, evidence: Evidence) -> Iterable[str]:
    yield from (text for check in (_service, _datapath, _transaction) for text in check(after))


def _release(before: Info, after: Info, evidence: Evidence) -> Iterable[str]:
    if running(after) != evidence.release:
        yield f"it runs release {running(after)}, wanted {evidence.release}"


def _restarts(before: Info, after: Info, evidence: Evidence) -> Iterable[str]:
    """systemd counts from 0 again when the unit is restarted on request, as a change of release does."""
    changed = running(before) != running(after)
    count = after["service"]["restarts"] - (0 if changed else before["service"]["restarts"])
    if count:
        yield f"{count} restarts in {evidence.seconds} s, allowed 0"


def _interfaces(before: Info, after: Info, evidence: Evidence) -> Iterable[str]:
    lost = _names(before) - _names(after)
    if lost:
        yield f"no longer guarded: {', '.join(sorted(lost))}"


def _policy(before: Info, after: Info, evidence: Evidence) -> Iterable[str]:
    was, now = before["status"]["policy"], after["status"]["policy"]
    if (was["generation"], was["digest"]) != (now["generation"], now["digest"]):
        yield f"the policy is another: generation {was['generation']} before, {now['generation']} now"


def _drift(before: Info, after: Info, evidence: Evidence) -> Iterable[str]:
    if after["status"]["drift"]:
        yield f"the kernel differs from what is recorded: {after['status']['drift'][0]}"


def running(info: Info) -> Any:
    """Release of the running process; `status.release` is only that of the command that was asked."""
    return info["status"]["agent"]["release"]


def _names(info: Info) -> set[str]:
    return {interface["name"] for interface in info["status"]["datapath"]["interfaces"]}


def _first_line(text: Any) -> str:
    return (str(text or "no reason given").strip().splitlines() or ["no reason given"])[0]


CHECKS: tuple[Callable[[Info, Info, Evidence], Iterable[str]], ...] = (
    _well,
    _release,
    _restarts,
    _interfaces,
    _policy,
    _drift,
)
