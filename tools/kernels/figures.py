"""What comes back from a kernel, and whether it is good: verifier counts against the baseline, test results. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from xml.etree import ElementTree

GROWTH = 1.2  # of the baseline; more has to be accepted
LIMIT = 1_000_000  # instructions the verifier looks at before it refuses (5.2 and later)

Counts = Mapping[str, int]
Baseline = Mapping[str, Counts]


@dataclass(frozen=True)
class Tests:
    """Outcome of a test run: failed by name, skipped by name with the reason."""

    passed: int
    failed: tuple[str, ...]
    skipped: Mapping[str, str]
    seconds: float


def processed(log: str) -> int:
    """Instructions the verifier went through, from its log."""
    found = re.search(r"^processed (\d+) insns", log, re.MULTILINE)
    if found is None:
        raise ValueError(f"verifier log: no line 'processed N insns': {log[-200:]!r}")
    return int(found[1])


def series(release: str) -> str:
    """`6.1` of `6.1.0-56-cloud-amd64`."""
    return ".".join(release.split(".")[:2])


def tests(junit: str) -> Tests:
    """Reads pytest's junit XML."""
    passed, failed, seconds = 0, [], 0.0
    skipped: dict[str, str] = {}
    for case in ElementTree.fromstring(junit).iter("testcase"):
        name = f"{case.get('classname', '')}::{case.get('name', '')}"
        seconds += float(case.get("time", 0))
        excuse = case.find("skipped")
        if case.find("failure") is not None or case.find("error") is not None:
            failed.append(name)
        elif excuse is not None:
            skipped[name] = excuse.get("message", "no reason given")
        else:
            passed += 1
    return Tests(passed, tuple(dict.fromkeys(failed)), skipped, round(seconds, 1))


def test_faults(kernel: str, found: Tests) -> list[str]:
    if not found.passed and not found.failed:
        return [f"{kernel}: no test ran"]
    return [f"{kernel}: failed: {name}" for name in found.failed]


def growth_faults(kernel: str, measured: Counts, baseline: Counts) -> list[str]:
    """One line per program that grew by more than the accepted share."""
    return [
        f"{kernel}: {name}: the verifier goes through {count} instructions, {count / baseline[name] - 1:+.0%} over the"
        f" baseline of {baseline[name]}, allowed {GROWTH - 1:+.0%}, the kernel's limit is {LIMIT}."
        " If it must be so: make test-kernels ACCEPT=1"
        for name, count in measured.items()
        if name in baseline and count > baseline[name] * GROWTH
    ]


def unknown(measured: Baseline, baseline: Baseline) -> list[str]:
    """Programs that the baseline does not know, as kernel/program."""
    return [
        f"{kernel}/{name}"
        for kernel, counts in measured.items()
        for name in counts
        if name not in baseline.get(kernel, {})
    ]


def accepted(baseline: Baseline, measured: Baseline) -> dict[str, dict[str, int]]:
    """The baseline with the measured kernels taken over; those not measured stay."""
    merged = {**baseline, **measured}
    order = sorted(merged, key=lambda name: [int(part) for part in name.split(".")])
    return {name: dict(sorted(merged[name].items())) for name in order}


def table(measured: Baseline, baseline: Baseline) -> list[str]:
    """Programs down, kernels across: instructions, and how they moved against the baseline."""
    names = sorted({name for counts in measured.values() for name in counts})
    width = max([len(name) for name in names], default=0)
    rows = [" ".join([f"{'verifier insns':{width}}", *(f"{kernel:>16}" for kernel in measured)])]
    for name in names:
        cells = [
            _cell(counts.get(name), baseline.get(kernel, {}).get(name))
            for kernel, counts in measured.items()
        ]
        rows.append(" ".join([f"{name:{width}}", *(f"{cell:>16}" for cell in cells)]))
    return rows


def _cell(count: int | None, before: int | None) -> str:
    if count is None:
        return "refused"
    return f"{count} {count / before - 1:+.0%}" if before else f"{count} new"
