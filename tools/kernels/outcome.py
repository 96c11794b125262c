"""What one kernel had to say, made from what its guest handed out. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from tools.kernels import figures


@dataclass(frozen=True)
class Outcome:
    """Verifier counts, test results, and everything that is wrong, a line each."""

    release: str
    insns: Mapping[str, int]
    tests: figures.Tests | None
    faults: tuple[str, ...]

    @property
    def series(self) -> str:
        return figures.series(self.release)


def of_verifier(said: str, baseline: figures.Baseline) -> Outcome:
    """From the JSON of `tools.kernels.verifier`: refused programs and grown ones are faults."""
    found = json.loads(said)
    kernel = figures.series(found["release"])
    refused = [f"{kernel}: {name}: refused:\n{log}" for name, log in found["refused"].items()]
    grown = figures.growth_faults(kernel, found["insns"], baseline.get(kernel, {}))
    return Outcome(found["release"], found["insns"], None, (*refused, *grown))


def of_guest(results: Mapping[str, str], release: str, baseline: figures.Baseline) -> Outcome:
    """From the files a guest handed out; one that is missing or empty is a fault."""
    missing = [name for name in ("verifier.json", "junit.xml") if not results.get(name)]
    if missing:
        return failed(release, f"no {' and no '.join(missing)}; see its console")
    seen = of_verifier(results["verifier.json"], baseline)
    tests = figures.tests(results["junit.xml"])
    faults = [*seen.faults, *figures.test_faults(seen.series, tests)]
    if seen.release != release:
        faults.append(f"{seen.series}: the guest ran {seen.release}, wanted: {release}")
    return Outcome(seen.release, seen.insns, tests, tuple(faults))


def failed(release: str, reason: str) -> Outcome:
    return Outcome(release, {}, None, (f"{figures.series(release)}: {reason}",))


def document(outcomes: list[Outcome]) -> dict[str, object]:
    """build/kernels.json, by kernel release."""
    return {
        outcome.release: {
            "insns": dict(outcome.insns),
            "tests": outcome.tests
            and {
                "passed": outcome.tests.passed,
                "failed": list(outcome.tests.failed),
                "skipped": dict(outcome.tests.skipped),
                "seconds": outcome.tests.seconds,
            },
            "faults": list(outcome.faults),
        }
        for outcome in outcomes
    }


def summary(outcome: Outcome) -> list[str]:
    """The tests of one kernel in a line, then every skip with its reason."""
    if outcome.tests is None:
        return [f"{outcome.series}: no test result"]
    tests = outcome.tests
    counts = f"{tests.passed} passed, {len(tests.failed)} failed, {len(tests.skipped)} skipped"
    skips = [f"{outcome.series}: skipped: {name}: {why}" for name, why in tests.skipped.items()]
    return [f"{outcome.series}: {counts} ({outcome.release})", *skips]
