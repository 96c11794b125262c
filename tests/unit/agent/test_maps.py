"""What a scrape tells of maps, and what it does not walk for it."""

from __future__ import annotations

import pytest

from tcmicro_agent.abi import SessionTable
from tcmicro_agent.datapath.layouts import LAYOUTS
from tcmicro_agent.metrics.datapath import Maps
from tcmicro_agent.tables import POLICY_MAPS

SESSION_MAPS = {table.map_name for table in SessionTable}


class Table:
    """A map of the kernel that counts how often it is walked."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.walked = 0

    def capacity(self) -> int:
        return 100

    def memory_bytes(self) -> int:
        return 4096

    def count(self) -> int:
        self.walked += 1
        return 3


class Header:
    def __init__(self, generation: int) -> None:
        self.generation = generation


class Kernel:
    def __init__(self) -> None:
        self.tables = {name: Table(name) for name in LAYOUTS}
        self.generation = 1

    def map(self, name: str) -> Table:
        return self.tables[name]

    def headers(self) -> list[Header]:
        return [Header(self.generation)]


class Swept:
    """A sweep whose last pass saw 40 sessions in each table."""

    def counts(self, _kernel: Kernel) -> dict[SessionTable, int]:
        return dict.fromkeys(SessionTable, 40)


@pytest.fixture
def kernel():
    return Kernel()


@pytest.fixture
def maps(kernel):
    return Maps(kernel, Swept())


def values(maps: Maps, metric: str) -> dict[str, float]:
    [family] = [family for family in maps.collect() if family.name == f"tc_micro_{metric}"]
    return {sample.labels["map"]: sample.value for sample in family.samples}


def test_sessions_are_those_that_the_sweep_counted(maps, kernel):
    entries = values(maps, "map_entries")
    assert {name: entries[name] for name in SESSION_MAPS} == dict.fromkeys(SESSION_MAPS, 40)
    assert [kernel.map(name).walked for name in SESSION_MAPS] == [0] * len(SESSION_MAPS)


def test_pressure_is_of_the_same_count(maps):
    pressure = values(maps, "map_pressure")
    assert {pressure[name] for name in SESSION_MAPS} == {0.4}


def test_maps_of_the_policy_are_walked_once_a_generation(maps, kernel):
    for _ in range(3):
        list(maps.collect())
    assert {kernel.map(name).walked for name in POLICY_MAPS} == {1}
    kernel.generation = 2
    list(maps.collect())
    assert {kernel.map(name).walked for name in POLICY_MAPS} == {2}
