# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Verdicts and how they combine: FAIL over ERROR over INCONCLUSIVE over PASS, and a FAIL stays. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any


class Outcome(Enum):
    """In order of precedence."""

    FAIL = "fail"
    ERROR = "error"
    INCONCLUSIVE = "inconclusive"
    PASS = "pass"


@dataclass(frozen=True)
class Finding:
    """What one gate found, of one host or (host None) of the wave. Only findings that are enforced count."""

    level: str
    metric: str
    outcome: Outcome
    text: str
    host: str | None = None
    enforce: bool = True
    numbers: Mapping[str, float] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        return {
            "level": self.level,
            "metric": self.metric,
            "host": self.host,
            "outcome": self.outcome.value,
            "enforce": self.enforce,
            "text": self.text,
            "numbers": dict(self.numbers),
        }

    @classmethod
    def read(cls, said: Mapping[str, Any]) -> Finding:
        """The finding of a document. Raises KeyError or ValueError where it is none."""
        return cls(
            level=said["level"],
            metric=said["metric"],
            outcome=Outcome(said["outcome"]),
            text=said["text"],
            host=said["host"],
            enforce=said["enforce"],
            numbers=said["numbers"],
        )


@dataclass(frozen=True)
class Verdict:
    """`not_judged`: (metric, why) of what this wave could not show whatever happened."""

    findings: tuple[Finding, ...]
    not_judged: tuple[tuple[str, str], ...] = ()

    @property
    def outcome(self) -> Outcome:
        return worst(finding.outcome for finding in self.findings if finding.enforce)

    @property
    def latched(self) -> bool:
        return self.outcome is Outcome.FAIL

    def document(self) -> dict[str, Any]:
        return {
            "outcome": self.outcome.value,
            "latched": self.latched,
            "findings": [finding.document() for finding in self.findings],
            "not_judged": [{"metric": name, "text": text} for name, text in self.not_judged],
        }


def worst(outcomes: Iterable[Outcome]) -> Outcome:
    """The one that has precedence; PASS when there is none."""
    order = list(Outcome)
    return min(outcomes, key=order.index, default=Outcome.PASS)


def latch(previous: Mapping[str, Any] | None, findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """The findings, and before them what failed in an earlier verdict on the same wave: later data do not undo it."""
    now = tuple(findings)
    said = map(Finding.read, (previous or {}).get("findings", ()))
    held = [f for f in said if f.outcome is Outcome.FAIL and f.enforce]
    known = {(f.metric, f.host) for f in now if f.outcome is Outcome.FAIL}
    return (*(f for f in held if (f.metric, f.host) not in known), *now)
