# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a report says, in which order: headings, paragraphs and tables that both formats print. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ansible_collections.tcmicro.fleet.plugins.plugin_utils.report.record import (
    Finding,
    Record,
    Wave,
    clock,
    duration,
)

WELL = ("committed", "confirmed")
UNWELL = ("fail", "error", "inconclusive")
ADVICE = {
    "succeeded": "Set the new release or policy in the inventory, so that deploy.yml and policy.yml know it.",
    "rolled_back": "Every touched host attests what it ran before. Mend the cause below; what failed is on the denylist.",
    "rollback_incomplete": "Hosts below have not attested what they ran before. They take an unconfirmed change back by "
    "themselves at their deadline; run playbooks/rollback.yml when they answer.",
    "rollback_halted": "Too many hosts could not be taken back, so it was stopped. Look at one of them by hand first.",
    "paused": "Nothing more is changed until it is resumed or aborted: tc-micro rollout resume|abort.",
}


@dataclass(frozen=True)
class Table:
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Section:
    title: str
    lines: tuple[str, ...] = ()
    table: Table | None = None


def sections(record: Record) -> Iterator[Section]:
    """Everything but the plots, in reading order; what there is nothing of is left out."""
    yield Section("What happened", tuple(_summary(record)))
    yield Section("Waves", table=waves(record.waves))
    tried = [wave for wave in record.waves if wave.rounds]
    if tried:
        yield Section("Before the policies were made live", table=_rounds(tried))
    found = [(wave, finding) for wave in record.waves for finding in wave.findings]
    unwell = [pair for pair in found if pair[1].outcome in UNWELL]
    if unwell:
        yield Section("What the gates found", table=_findings(unwell))
    yield Section("Hosts", table=_hosts(record))
    if record.missing:
        rows = tuple(sorted(record.missing.items()))
        yield Section("Left out before it began", table=Table(("host", "why"), rows))
    if record.blind:
        yield Section("What this rollout could not see", record.blind)
    if record.approvals:
        yield Section("Decisions of people", record.approvals)


def _summary(record: Record) -> Iterator[str]:
    end = f"to {clock(record.ended)}" if record.ended is not None else "and not ended"
    yield f"From {clock(record.started)} {end}. Rollout {record.id}."
    touched = len(record.touched)
    passed = sum(wave.outcome == "pass" for wave in record.waves)
    yield f"{touched} of {record.fleet} hosts were touched; {passed} of {len(record.waves)} waves passed their gate."
    if record.state in ADVICE:
        yield ADVICE[record.state]
    if not record.chain_ok:
        yield "The journal's chain of hashes is BROKEN: events were lost or changed after they were written."


def waves(found: Sequence[Wave]) -> Table:
    """One row per wave: stage, share of the fleet, duration, the figures that were measured, result."""
    names = sorted({name for wave in found for name in wave.figures})
    head = ("wave", "stage", "hosts", "exposed", "duration", "bake", *names, "result")
    rows = [
        (
            str(wave.number),
            wave.stage,
            str(len(wave.hosts)),
            str(wave.exposure),
            duration(wave.seconds),
            duration(wave.bake_s),
            *(_number(wave.figures.get(name)) for name in names),
            wave.outcome,
        )
        for wave in found
    ]
    return Table(head, tuple(rows))


def _rounds(found: Sequence[Wave]) -> Table:
    """One row per round: what share of the new flows the staged policies judged, and how that went."""
    head = ("wave", "stage", "share", "duration", "flows", "denied", "errors", "result")
    rows = [
        (
            str(wave.number),
            "shared" if done.share else "compared",
            f"{done.share} %",
            duration(done.seconds),
            *(_number(count) for count in (done.flows, done.denied, done.errors)),
            done.outcome,
        )
        for wave in found
        for done in wave.rounds
    ]
    return Table(head, tuple(rows))


def _findings(found: Sequence[tuple[Wave, Finding]]) -> Table:
    rows = [
        (
            str(wave.number),
            finding.level,
            finding.metric,
            finding.host or "wave",
            finding.outcome if finding.enforce else f"{finding.outcome} (shadow)",
            finding.text,
        )
        for wave, finding in sorted(found, key=_weight)
    ]
    return Table(("wave", "level", "gate", "where", "outcome", "what"), tuple(rows))


def _weight(pair: tuple[Wave, Finding]) -> tuple[bool, int, int]:
    wave, finding = pair
    return not finding.enforce, UNWELL.index(finding.outcome), wave.number


def _hosts(record: Record) -> Table:
    """Hosts that need a look one by one, the others counted."""
    settled = Counter(
        (host.state, host.before, host.after)
        for host in record.hosts
        if not host.note and host.state in (*WELL, "untouched", "reverted")
    )
    rows = [
        (f"{number} hosts" if number > 1 else "1 host", *key, "")
        for key, number in sorted(settled.items())
    ]
    rows += [
        (host.name, host.state, host.before, host.after, host.note)
        for host in record.hosts
        if host.note or (host.state, host.before, host.after) not in settled
    ]
    return Table(("host", "state", "before", "now", "note"), tuple(rows))


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:,.6g}"
