"""Encoding: the right slot in every key, stable counters, nothing lost."""

from __future__ import annotations

import sys
from ipaddress import ip_network

from builders import bundle, rule
from hypothesis import given
from hypothesis import strategies as st

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
        keys = [key for key, _ in entries]
        assert len(keys) == len(entries) > 0, name
        for slot in range(abi.SLOTS):
            found = list(tables.in_slot(name, entries.key_bytes, len(keys[0]), slot))
            assert found == (list(range(len(entries))) if slot == 2 else []), name


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


KEYS = st.lists(st.binary(min_size=8, max_size=8), min_size=2, unique=True)


@given(KEYS, st.randoms())
def test_checksum_tells_contents_apart_and_not_their_order(keys, random):
    content = [key + number.to_bytes(4, "little") for number, key in enumerate(keys)]
    found = tables.checksum(content)
    assert tables.checksum(random.sample(content, len(content))) == found
    one, other, *rest = content
    assert tables.checksum([one[:8] + other[8:], other[:8] + one[8:], *rest]) != found
    assert tables.checksum(content[1:]) != found
    assert tables.checksum([*content, keys[0] + b"more"]) != found


NETWORKS = st.one_of(st.ip_addresses(), st.ip_addresses(network="10.0.0.0/8")).flatmap(
    lambda address: st.integers(0, address.max_prefixlen).map(
        lambda length: str(ip_network((address, length), strict=False))
    )
)


@given(st.lists(NETWORKS))
def test_every_endpoint_has_the_entry_that_its_network_says(networks):
    policy = bundle(rule("p/a", "tcp/80", (1,)), endpoints=dict.fromkeys(networks, 1))
    numbers = tables.number_rules({}, tables.rule_uids(policy), set())
    made = tables.encode(policy, slot=2, generation=7, mode=Mode.PROTECT, numbers=numbers)
    wanted: dict[str, set] = {name: set() for name in tables.POLICY_MAPS}
    for network in map(ip_network, set(networks)):
        packed, length = network.network_address.packed, network.prefixlen
        if length == network.max_prefixlen:
            wanted[f"tcm_hosts{network.version}"].add((2).to_bytes(4, sys.byteorder) + packed)
        else:
            head = (32 + length).to_bytes(4, sys.byteorder) + (2).to_bytes(4, sys.byteorder)
            wanted[f"tcm_cidrs{network.version}"].add(head + packed)
    peer = abi.PEER.pack(1, 1 << 16, 0, 1 << abi.rule_class(6, 16, 80), 0)
    for name in tables.POLICY_MAPS[:-1]:
        entries = dict(made.entries[name])
        assert entries.keys() == wanted[name]
        assert set(entries.values()) <= {peer}
        assert len(entries) == len(made.entries[name])


def test_counter_indices_are_distinct():
    indices = [
        abi.counter_index(direction, reason, bank)
        for bank in abi.Bank
        for direction in abi.Direction
        for reason in abi.Reason
    ]
    assert len(set(indices)) == len(indices)
    assert max(indices) < abi.COUNTERS
