"""Run times by powers of two, as bpf/trace/latency.bpf.c counts them. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from struct import Struct
from typing import Any

BUCKETS = 32
LATENCY = Struct(f"={BUCKETS}QQ")
BAR = 40


@dataclass(frozen=True)
class Histogram:
    """Bucket n holds runs of 2^n to 2^(n+1) - 1 ns."""

    runs: tuple[int, ...]
    total_ns: int

    @classmethod
    def decode(cls, values: Iterable[bytes]) -> Histogram:
        """From tcm_latency: one value per CPU."""
        each = [LATENCY.unpack(value) for value in values]
        sums = [sum(column) for column in zip(*each)]
        return cls(tuple(sums[:BUCKETS]), sums[BUCKETS])

    @property
    def count(self) -> int:
        return sum(self.runs)

    def percentile(self, share: float) -> int | None:
        """Nanoseconds that this share of the runs did not exceed: the end of a bucket; None without runs."""
        seen = 0
        for n, runs in enumerate(self.runs):
            seen += runs
            if runs and seen >= share * self.count:
                return (2 << n) - 1
        return None

    def document(self) -> dict[str, Any]:
        used = [n for n, runs in enumerate(self.runs) if runs]
        shown = range(used[0], used[-1] + 1) if used else range(0)
        return {
            "runs": self.count,
            "mean_ns": round(self.total_ns / self.count) if self.count else None,
            "p50_ns": self.percentile(0.5),
            "p99_ns": self.percentile(0.99),
            "histogram": [
                {"from_ns": 2**n if n else 0, "to_ns": 2 ** (n + 1) - 1, "runs": self.runs[n]}
                for n in shown
            ],
        }


def lines(rows: list[dict[str, Any]]) -> list[str]:
    """A bar for each bucket."""
    most = max((row["runs"] for row in rows), default=0)
    return [
        f"{row['from_ns']:>10} - {row['to_ns']:<10} {row['runs']:>10}  "
        f"{'#' * -(-row['runs'] * BAR // most)}".rstrip()
        for row in rows
    ]
