# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a drill has shown: was the fault found, by which gate, in which wave, how soon, and what did it leave? Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from ansible_collections.tcmicro.fleet.plugins.plugin_utils.drill.faults import ON_HOST, PROCESS
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.drill.plan import Plan
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.looks import Look, first_line, trouble

AGAINST = ("fail", "refused", "error", "inconclusive")  # the gravest first
Document = Mapping[str, Any]


class Outcome(Enum):
    CAUGHT = "caught"  # by what was found on a host with the fault, or on its wave
    MISSED = "missed"  # every wave passed
    OTHERWISE = "stopped by something else"
    NOT_ENDED = "not ended"
    NOT_BEGUN = "not begun"
    NOT_PLANTED = "not planted"


@dataclass(frozen=True)
class Evidence:
    """All that is known after a drill. `record`: the RolloutRecord, None where no rollout began; `problem`: why. `before`,
    `after`: looks at every host; `planted`, `removed`: what drill_fault answered, by host."""

    record: Document | None
    problem: str
    before: Mapping[str, Look]
    after: Mapping[str, Look]
    planted: Mapping[str, Document] = field(default_factory=dict)
    removed: Mapping[str, Document] = field(default_factory=dict)


@dataclass(frozen=True)
class Found:
    """What counted against the wave: the level and name of the gate, the host ("" for the wave), and what it said."""

    level: str
    gate: str
    host: str
    text: str

    def __str__(self) -> str:
        return " ".join(filter(None, [self.level, self.gate])) + f": {self.text}"


@dataclass(frozen=True)
class Verdict:
    """`seconds`: from the first change of the wave until it was decided. `wrong`: everything that is not as it must be."""

    outcome: Outcome
    by: Found | None
    wave: int
    seconds: float | None
    exposed: int
    allowed: int
    on_fault: tuple[str, ...]
    locked_out: tuple[str, ...]
    remains: Mapping[str, str]
    wrong: tuple[str, ...]

    @property
    def passed(self) -> bool:
        return not self.wrong


def judge(plan: Plan, evidence: Evidence) -> Verdict:
    """Missing evidence never passes: a fault that did not begin was not caught, and what could not be looked at remains."""
    record = evidence.record or {}
    waves: Sequence[Document] = record.get("waves", ())
    failed = next((wave for wave in waves if wave.get("state") == "failed"), {})
    by = _by(failed, plan.hosts)
    outcome = _outcome(plan, evidence, failed, by)
    touched = [h for h, host in record.get("hosts", {}).items() if host["state"] != "untouched"]
    found = Verdict(
        outcome=outcome,
        by=by,
        wave=int(failed.get("number", 0)),
        seconds=_seconds(failed),
        exposed=len(touched),
        allowed=plan.exposure,
        on_fault=tuple(sorted(_on_fault(plan, evidence))),
        locked_out=tuple(sorted(_locked_out(evidence))),
        remains=_remains(plan, evidence),
        wrong=(),
    )
    return Verdict(**{**vars(found), "wrong": tuple(_wrong(plan, evidence, found))})


def _outcome(plan: Plan, evidence: Evidence, failed: Document, by: Found | None) -> Outcome:
    if _unplanted(plan, evidence):
        return Outcome.NOT_PLANTED
    if evidence.record is None:
        return Outcome.NOT_BEGUN
    state = evidence.record["state"]
    if state == "succeeded":
        return Outcome.MISSED
    if not failed or state in ("running", "stopping"):
        return Outcome.NOT_ENDED
    return Outcome.CAUGHT if by and (not by.host or by.host in plan.hosts) else Outcome.OTHERWISE


def _unplanted(plan: Plan, evidence: Evidence) -> dict[str, str]:
    """Hosts on which the fault never began, and why."""
    found = {}
    for host in plan.hosts if plan.how in ON_HOST else ():
        planted = evidence.planted.get(host, {})
        began = evidence.removed.get(host, {}).get("began")
        if not planted.get("planted"):
            found[host] = first_line(planted.get("msg") or "nothing was heard from it")
        elif plan.how == PROCESS and evidence.record and not _touched(evidence.record, host):
            continue  # the rollout did not come that far, which is its own finding
        elif plan.how == PROCESS and evidence.record and not began:
            found[host] = "the release under test never ran there"
        elif began and began.get("problem"):
            found[host] = began["problem"]
    return found


def _touched(record: Document, host: str) -> bool:
    return record["hosts"].get(host, {}).get("state", "untouched") != "untouched"


def _by(wave: Document, hosts: Sequence[str]) -> Found | None:
    """The gravest finding, those on hosts with the fault and on the whole wave before others."""
    findings = (wave.get("verdict") or {}).get("findings", ())
    against = [f for f in findings if f["outcome"] in AGAINST and f.get("enforce", True)]
    if not against:
        return None

    def weight(finding: Document) -> tuple[int, int]:
        host = finding.get("host") or ""
        return (0 if host in hosts else 1 if not host else 2), AGAINST.index(finding["outcome"])

    worst = min(against, key=weight)
    return Found(
        str(worst.get("level") or "L0"),
        str(worst.get("metric") or ""),
        str(worst.get("host") or ""),
        first_line(worst["text"]),
    )


def _seconds(wave: Document) -> float | None:
    begun, ended = wave.get("started"), wave.get("ended")
    return None if begun is None or ended is None else max(0.0, float(ended) - float(begun))


def _on_fault(plan: Plan, evidence: Evidence) -> Iterator[str]:
    """Hosts that run what was rolled out still: by their own word, or by the record where they say nothing."""
    recorded = (evidence.record or {}).get("hosts", {})
    for host, row in recorded.items():
        look = evidence.after.get(host)
        if trouble(look) or look is None:
            if row["state"] not in ("untouched", "reverted"):
                yield host
        elif _runs(plan, look) not in (row["before"], _runs(plan, evidence.before.get(host) or {})):
            yield host


def _runs(plan: Plan, look: Look) -> Any:
    if plan.version:
        return (look.get("releases") or {}).get("current")
    return ((look.get("status") or {}).get("policy") or {}).get("digest")


def _locked_out(evidence: Evidence) -> Iterator[str]:
    """Hosts that answered before and do not now."""
    for host, look in evidence.before.items():
        after = evidence.after.get(host)
        if not look.get("unreachable") and (after is None or after.get("unreachable")):
            yield host


def _remains(plan: Plan, evidence: Evidence) -> dict[str, str]:
    """What of the drill is on hosts still, or could not be looked for."""
    found = {}
    for host in plan.hosts if plan.how in ON_HOST else ():
        removed = evidence.removed.get(host)
        if removed is None or removed.get("failed") or removed.get("unreachable"):
            why = first_line((removed or {}).get("msg") or "nothing was heard from it")
            found[host] = f"not known: {why}; the host ends it by itself after {plan.expires_s} s"
        elif removed.get("left"):
            found[host] = ", ".join(removed["left"])
    return found


def _wrong(plan: Plan, evidence: Evidence, found: Verdict) -> Iterator[str]:
    if found.outcome is not Outcome.CAUGHT:
        yield _why(plan, evidence, found)
    elif found.wave != plan.wave:
        yield f"caught in wave {found.wave}, the fault was in wave {plan.wave}"
    if found.exposed > found.allowed and found.outcome is Outcome.CAUGHT:
        yield f"{found.exposed} hosts were touched, allowed {found.allowed}"
    if found.on_fault:
        yield f"still on what was rolled out: {', '.join(found.on_fault)}"
    if found.locked_out:
        yield f"locked out: {', '.join(found.locked_out)}"
    yield from (f"{host}: not removed: {text}" for host, text in found.remains.items())


def _why(plan: Plan, evidence: Evidence, found: Verdict) -> str:
    """Of an outcome that is none."""
    if found.outcome is Outcome.NOT_PLANTED:
        told = [f"{host}: {text}" for host, text in _unplanted(plan, evidence).items()]
        return f"not planted: {'; '.join(told)}"
    if found.outcome is Outcome.NOT_BEGUN:
        return f"the rollout did not begin: {first_line(evidence.problem)}"
    if found.outcome is Outcome.MISSED:
        return f"missed: every wave passed with {plan.fault} on {', '.join(plan.hosts)}"
    reason = first_line((evidence.record or {}).get("why") or evidence.problem)
    return f"{found.outcome.value}: {reason}"
