"""Rollouts over simulated fleets, judged by the judge and the gate file that are shipped."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.judge.evidence import Evidence
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.judge.judge import judge
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.judge.lattice import Finding, Outcome
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.judge.specs import Gates, parse

from tests.bench_rollout.fleet import MINUTE_S, Fault, Host

GATES = Path(__file__).resolve().parents[2] / "roles/tcmicro_gate/files/gates.yml"
CANARY = ((5, 40),)  # hosts of the wave, controls
FLEET = (
    (5, 40),
    (5, 40),
    (15, 40),
    (25, 40),
    (45, 5),
)  # 100 hosts in stages of 5, 10, 25, 50, 100 %, 5 held back


@dataclass(frozen=True)
class Scenario:
    """`metric`: the one that must find the fault; "" for a clean rollout, where nothing must be found."""

    name: str
    goal: float
    waves: Sequence[tuple[int, int]]
    minutes: int
    fault: Fault = Fault()
    metric: str = ""


@dataclass(frozen=True)
class Share:
    """k of n, with Wilson's 95 % interval."""

    k: int
    n: int

    @property
    def value(self) -> float:
        return self.k / self.n

    def interval(self, z: float = 1.959964) -> tuple[float, float]:
        middle = (self.value + z * z / (2 * self.n)) / (1 + z * z / self.n)
        spread = math.sqrt(self.value * (1 - self.value) / self.n + z * z / (4 * self.n**2))
        half = z * spread / (1 + z * z / self.n)
        return max(0.0, middle - half), min(1.0, middle + half)


def shipped() -> Gates:
    return parse(str(GATES.name), GATES.read_text())


@dataclass(frozen=True)
class Run:
    """(metric, "wave" or "host") of what failed in the first wave that failed; whether any wave baked again."""

    failed: frozenset[tuple[str, str]]
    extended: bool


def run(scenario: Scenario, gates: Gates, seed: int) -> Run:
    """One rollout, up to the wave that stops it."""
    rng = np.random.default_rng(seed)
    extended, failed = False, list[Finding]()
    for size, controls in scenario.waves:
        failed, again = _wave(scenario, gates, rng, size, controls)
        extended |= again
        if failed:
            break
    kinds = frozenset((f.metric, "host" if f.host else "wave") for f in failed)
    return Run(kinds, extended)


def _wave(
    scenario: Scenario, gates: Gates, rng: np.random.Generator, size: int, controls: int
) -> tuple[list[Finding], bool]:
    minutes = 10, 2 * scenario.minutes
    wave = {f"c{n}": Host(rng, *minutes, scenario.fault, n) for n in range(size)}
    rest = {f"k{n}": Host(rng, *minutes, Fault(), n) for n in range(controls)}
    previous: dict[str, Any] | None = None
    for extension in range(2):
        baked = scenario.minutes * (1 + extension)
        evidence = _evidence(wave, rest, baked, extension)
        verdict = judge(evidence, gates, previous)
        if verdict.outcome is not Outcome.INCONCLUSIVE:
            return _failed(verdict.findings), extension > 0
        previous = verdict.document()
    raise AssertionError(f"still inconclusive after an extension: {verdict.findings}")


def _evidence(wave: dict[str, Host], rest: dict[str, Host], baked: int, extension: int) -> Evidence:
    hosts = {**wave, **rest}
    return Evidence(
        release="",
        seconds=baked * MINUTE_S,
        before={name: host.before() for name, host in hosts.items()},
        after={name: host.after(baked) for name, host in hosts.items()},
        failures={},
        hosts=tuple(wave),
        controls=tuple(rest),
        extension=extension,
    )


def _failed(findings: Sequence[Finding]) -> list[Finding]:
    return [f for f in findings if f.enforce and f.outcome is not Outcome.PASS]
