"""A host in memory: fake kernel and clock, real files in a temporary directory."""

from __future__ import annotations

from pathlib import Path

import pytest
from fakes import FakeClock, FakeExaminer, FakeKernel

from tcmicro_agent import reconcile
from tcmicro_agent.reconcile import Agent
from tcmicro_agent.store import Store


@pytest.fixture(autouse=True)
def examiner(monkeypatch: pytest.MonkeyPatch) -> FakeExaminer:
    """What every agent of a test asks about its host, where it is given nobody else."""
    made = FakeExaminer()
    monkeypatch.setattr(reconcile, "Inspection", lambda *_: made)
    return made


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def kernel(clock: FakeClock) -> FakeKernel:
    return FakeKernel(clock)


@pytest.fixture
def agent(kernel: FakeKernel, clock: FakeClock, tmp_path: Path) -> Agent:
    return Agent(kernel, Store(tmp_path), clock)
