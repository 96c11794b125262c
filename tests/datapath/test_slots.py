"""Slots on the real kernel: filled, read back and emptied many entries at a time, each beside the others."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from builders import bundle, rule

from tcmicro_agent import tables
from tcmicro_agent.datapath import batches, libbpf
from tcmicro_agent.policy.model import Bundle

MANY = libbpf.BATCH + 1000
NETWORKS = [
    *(f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}/32" for n in range(MANY)),
    *(f"{ip_address((0xFD00 << 112) + n)}/128" for n in range(100)),
    *(f"172.16.{n}.0/24" for n in range(100)),
    *(f"fd01:{n:x}::/32" for n in range(1, 100)),
]
BIG = bundle(rule("p/a", "tcp/80", (1,)), endpoints=dict.fromkeys(NETWORKS, 1))
SMALL = bundle(rule("p/a", "tcp/81", (1,)), endpoints={"10.0.0.1": 1, "172.16.0.0/12": 1})


def built(policy: Bundle, slot: int) -> tables.Tables:
    numbers = tables.number_rules({}, tables.rule_uids(policy), set())
    return tables.encode(policy, slot=slot, generation=1, mode=policy.mode, numbers=numbers)


def checksums(made: tables.Tables) -> dict[str, int]:
    return {name: entries.checksum() for name, entries in made.entries.items()}


EMPTY = dict.fromkeys(tables.POLICY_MAPS, 0)


def test_slots_are_filled_and_emptied_one_beside_the_other(kernel, datapath):
    for slot, policy in ((1, BIG), (2, SMALL), (3, BIG)):
        made = built(policy, slot)
        kernel.fill_slot(made)
        assert kernel.slot_checksums(slot) == checksums(made)
    kernel.clear_slot(1)
    assert kernel.slot_checksums(1) == EMPTY
    assert kernel.slot_checksums(2) == checksums(built(SMALL, 2))
    assert kernel.slot_checksums(3) == checksums(built(BIG, 3))


@pytest.mark.parametrize("name", tables.POLICY_MAPS)
def test_batches_read_what_single_calls_read(kernel, datapath, name):
    kernel.fill_slot(built(BIG, 1))
    table = kernel.map(name)
    keys, values = batches.read(table)
    pairs = zip(
        tables.rows(keys, table.key_size), tables.rows(values, table.value_size), strict=True
    )
    assert dict(pairs) == dict(table.items())
    assert len(keys) // table.key_size == len(built(BIG, 1).entries[name])
    batches.delete(table, keys)
    assert list(table) == []
    batches.delete(table, keys)  # what is gone already is no failure
