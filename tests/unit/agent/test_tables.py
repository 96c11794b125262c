"""Encoding: the right slot in every key, stable counters, nothing lost."""

from __future__ import annotations

from builders import bundle, rule

from tcmicro_agent import abi, tables
from tcmicro_agent.policy.bundle import digest
from tcmicro_agent.policy.model import Action, Mode

POLICY = bundle(
    rule("p/a", "tcp/80", (1,)),
    endpoints={"10.0.0.1": 1, "10.1.0.0/16": 1, "fd00::1": 1, "fd01::/16": 1},
    egress=Action.ALLOW,
)


def encoded(slot: int = 2) -> tables.Tables:
    numbers = tables.number_rules({}, tables.rule_uids(POLICY), set())
    return tables.encode(POLICY, slot=slot, generation=7, mode=Mode.PROTECT, numbers=numbers)


def test_every_key_carries_its_slot():
    for name, entries in encoded().entries.items():
        assert entries, name
        assert {tables.entry_slot(name, key) for key, _ in entries} == {2}, name


def test_header_round_trip():
    header = encoded().header
    assert abi.SlotHeader.decode(header.encode()) == header
    assert header.defaults == (abi.Verdict.DENY, abi.Verdict.ALLOW, abi.Verdict.ALLOW)
    assert (header.has_cidr, header.generation, header.digest) == (3, 7, digest(POLICY))


def test_counters_keep_their_numbers_across_generations():
    first = tables.number_rules({}, ["a", "b", "c"], set())
    second = tables.number_rules(first, ["c", "d"], in_use={"b"})
    assert second["c"] == first["c"]
    assert second["b"] == first["b"]
    assert "a" not in second
    assert second["d"] == first["a"]


def test_counter_indices_are_distinct():
    indices = [
        abi.counter_index(direction, reason, bank)
        for bank in abi.Bank
        for direction in abi.Direction
        for reason in abi.Reason
    ]
    assert len(set(indices)) == len(indices)
    assert max(indices) < abi.COUNTERS
