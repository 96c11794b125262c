# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""L2: brings the numbers of a wave and of its controls together, and says what it means when some are missing. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from ansible_collections.tcmicro.fleet.plugins.plugin_utils.judge import rules
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.judge.evidence import Evidence, Subject
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.judge.lattice import Finding, Outcome
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.judge.measures import (
    Gap,
    Measured,
    change,
    measure,
)
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.judge.specs import (
    Comparison,
    Kind,
    Metric,
    NoData,
)

BEFORE_S = 60  # of the time before the change that must be known
HALF = 0.5  # of the controls that must report


def against_controls(
    metric: Metric,
    evidence: Evidence,
    rule: Comparison,
    wave: Sequence[Subject],
    controls: Sequence[Subject],
) -> Iterator[Finding | tuple[str, str]]:
    """Findings, and (metric, why) where nothing can be said whatever happened."""
    why = _not_comparable(metric, evidence, rule, wave, controls)
    if why:
        yield metric.name, why
        return
    table = Table(metric, evidence.seconds, rule, tuple(wave), tuple(controls))
    skip = metric.on_no_data is NoData.SKIP
    missing = [] if skip else list(table.missing())
    yield from missing
    if skip:
        yield from table.skipped()
    looks = table.looks()
    if looks[-1].wave and not any(f.host is None for f in missing):
        few = rules.reach(len(looks[-1].wave), len(looks[-1].controls), rule)
        if few:
            yield metric.name, few
            return
        yield from rules.compare(metric, looks, rule, extended=evidence.extension > 0)
    elif not missing:
        yield metric.name, "too few events to compare"


def _not_comparable(
    metric: Metric,
    evidence: Evidence,
    rule: Comparison,
    wave: Sequence[Subject],
    controls: Sequence[Subject],
) -> str:
    needed = max(rule.needs_s, metric.needs_s)
    if evidence.seconds < needed:
        return f"needs a bake of {needed} s, not {evidence.seconds}"
    if not wave or not controls:
        return "no hosts left to judge" if not wave else "no controls"
    if not any(subject.records for subject in (*wave, *controls)):
        return "no release here records samples"
    names = (*metric.values, *metric.per)
    if not any(subject.records for subject in controls) or _unknown_before(names, wave, controls):
        return "the release before does not record it"
    return rules.reach(len(wave), len(controls), rule)


def _unknown_before(
    names: Sequence[str], wave: Sequence[Subject], controls: Sequence[Subject]
) -> bool:
    """Whether the release that is replaced, which the controls run, does not know the metric."""
    heard = [record for s in controls for record in (s.before, s.after) if len(record)]
    heard += [subject.before for subject in wave if len(subject.before)]
    return bool(heard) and not any(record.has(names) for record in heard)


@dataclass(frozen=True)
class Table:
    """One metric over all hosts."""

    metric: Metric
    seconds: int
    rule: Comparison
    wave: tuple[Subject, ...]
    controls: tuple[Subject, ...]
    known: dict[tuple[str, float], Measured] = field(default_factory=dict)  # what was measured

    def looks(self) -> list[rules.Look]:
        found = []
        for share in self.rule.looks:
            wave = {s.host: v for s in self.wave if not isinstance(v := self.worse(s, share), Gap)}
            changes = (self.worse(subject, share) for subject in self.controls)
            controls = tuple(value for value in changes if not isinstance(value, Gap))
            if wave and controls:
                found.append(rules.Look(share, wave, controls))
        return found or [rules.Look(1.0, {}, ())]

    def missing(self) -> Iterator[Finding]:
        """A host that is silent while others report did not come through well; all silent is a fault of ours."""
        silent = [s for s in self.wave if self.after(s) is Gap.SILENT]
        heard = [s for s in self.controls if self.after(s) is not Gap.SILENT]
        if not heard and len(silent) == len(self.wave):
            yield self._finding(Outcome.ERROR, "nobody reports it")
            return
        if len(heard) < HALF * len(self.controls):
            text = f"only {len(heard)} of {len(self.controls)} controls report it"
            yield self._finding(Outcome.INCONCLUSIVE, text)
        told = f"silent while {len(heard)} of {len(self.controls)} controls report it"
        for subject in silent:
            yield self._finding(Outcome(self.metric.on_no_data.value), told, subject.host)
        for subject in self.wave:
            if subject not in silent and self.earlier(subject) is Gap.SILENT:
                text = "how it was before the change is not known"
                yield self._finding(Outcome.INCONCLUSIVE, text, subject.host)
            elif self.after(subject) is Gap.FEW and self._dried_up(subject, heard):
                text = "no events any more, while the controls have them"
                yield self._finding(Outcome.INCONCLUSIVE, text, subject.host)

    def skipped(self) -> Iterator[tuple[str, str]]:
        """Hosts of the wave of which nothing can be said, and that is no fault of theirs."""
        silent = [s.host for s in self.wave if isinstance(self.worse(s, 1.0), Gap)]
        if silent and len(silent) < len(self.wave):
            yield self.metric.name, f"too little of it on {', '.join(silent)}"

    def worse(self, subject: Subject, share: float) -> Measured:
        return change(self.metric, self.earlier(subject), self.after(subject, share))

    def after(self, subject: Subject, share: float = 1.0) -> Measured:
        key = (subject.host, share)
        if key not in self.known:
            window = subject.bake(self.seconds, share, self.metric.skip_s)
            self.known[key] = measure(self.metric, subject.after, window)
        return self.known[key]

    def earlier(self, subject: Subject) -> Measured:
        """A slope needs no time before: what grows was small once."""
        if self.metric.kind is Kind.SLOPE:
            return 0.0
        key = (subject.host, 0.0)
        if key not in self.known:
            window = subject.earlier(self.rule.before_s)
            covered = BEFORE_S / self.rule.before_s
            self.known[key] = measure(self.metric, subject.before, window, covered)
        return self.known[key]

    def _dried_up(self, subject: Subject, heard: Sequence[Subject]) -> bool:
        still = [s for s in heard if self.after(s) is not Gap.FEW]
        return self.earlier(subject) is not Gap.FEW and len(still) >= HALF * len(heard) > 0

    def _finding(self, outcome: Outcome, text: str, host: str | None = None) -> Finding:
        metric = self.metric
        level, enforce = metric.level.value, metric.enforced
        return Finding(level, metric.name, outcome, text, host, enforce)
