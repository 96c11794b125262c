"""Counters read many at a time are those that are read one by one."""

from __future__ import annotations

import pytest

from tcmicro_agent import abi

COUNTED = (1, 2, 600, 601, 40_000, abi.MAX_RULES - 1)


@pytest.fixture
def kernel(datapath):
    """Every CPU has counted something else for these rules."""
    table = datapath.kernel.map("tcm_rule_hits")
    cpus = len(table.get_each_cpu(abi.U32.pack(0)))
    for number in COUNTED:
        each = (abi.COUNT.pack(number + cpu, (number + cpu) << 33) for cpu in range(cpus))
        table.put(abi.U32.pack(number), b"".join(each))
    return datapath.kernel


@pytest.mark.parametrize(
    "numbers",
    [
        [],
        [1],
        [3, 2, 1, 1],
        list(range(1, 1200)),
        list(COUNTED),
        [*range(abi.MAX_RULES - 700, abi.MAX_RULES)],
    ],
    ids=len,
)
def test_hits_of_many_rules_are_those_of_each(kernel, numbers):
    found = kernel.rule_hits(numbers)
    assert found == {n: kernel.count("tcm_rule_hits", n) for n in numbers}
    assert all(found[n][0] for n in set(COUNTED) & set(numbers))


def test_a_block_that_the_kernel_does_not_give_is_read_one_by_one(kernel, monkeypatch):
    monkeypatch.setattr("tcmicro_agent.datapath.libbpf.Map.block", lambda *_: None)
    assert kernel.rule_hits([1, 2])[2] == kernel.count("tcm_rule_hits", 2)
