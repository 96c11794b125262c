"""Compiled decisions against the oracle: most specific key first gives the first matching rule."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from builders import bundle, rule
from hypothesis import given, settings
from hypothesis import strategies as st

from tcmicro_agent.policy.compile import (
    EVERYTHING,
    PORT_BITS,
    SHAPE_ANY,
    Decision,
    Shape,
    compile_bundle,
    prefixes,
)
from tcmicro_agent.policy.evaluate import NewFlow, evaluate, identify
from tcmicro_agent.policy.model import Action, Bundle, Direction

PEERS = {"10.0.0.1": 1, "10.0.0.2": 2}
port = st.one_of(st.integers(0, 65535), st.sampled_from([0, 1, 22, 80, 443, 65535]))


@given(port, port)
def test_prefixes_cover_a_range_exactly_and_briefly(one, other):
    first, last = sorted((one, other))
    blocks = list(prefixes(first, last))
    covered = [(start, start + (1 << PORT_BITS - length)) for length, start in blocks]
    assert covered[0][0] == first
    assert covered[-1][1] == last + 1
    assert all(left[1] == right[0] for left, right in zip(covered, covered[1:], strict=False))
    assert all(start % (end - start) == 0 for start, end in covered)
    assert len(blocks) <= 30


def lookup(
    table: dict, shapes: int, identity: int, direction: Direction, protocol: int, number: int
):
    """find_rule of bpf/policy.h, in Python."""
    for length in range(PORT_BITS, -1, -1):
        if shapes & 1 << length:
            mask = (1 << PORT_BITS) - (1 << PORT_BITS - length)
            found = table.get((identity, direction, Shape(protocol, length, number & mask)))
            if found:
                return found
    return table.get((identity, direction, EVERYTHING)) if shapes & 1 << SHAPE_ANY else None


ranges = st.tuples(port, port).map(lambda r: f"{min(r)}-{max(r)}")
one_service = st.one_of(
    st.builds(lambda proto, r: f"{proto}/{r}", st.sampled_from(["tcp", "udp"]), ranges),
    st.sampled_from(["any", "icmp", "tcp", "udp"]),
)


@st.composite
def bundles(draw) -> Bundle:
    rules = [
        rule(
            f"p/{n}",
            " ".join(draw(st.lists(one_service, min_size=1, max_size=3))),
            draw(st.sampled_from([None, (1,), (2,), (1, 2), (0,)])),
            direction=draw(st.sampled_from(list(Direction))),
            action=draw(st.sampled_from(list(Action))),
        )
        for n in range(draw(st.integers(0, 7)))
    ]
    return bundle(*rules, endpoints=PEERS)


@settings(max_examples=300, deadline=None)
@given(policy=bundles(), number=port, protocol=st.sampled_from([1, 6, 17, 47]), data=st.data())
def test_lookup_agrees_with_first_match(policy, number, protocol, data):
    peer = ip_address(data.draw(st.sampled_from([*PEERS, "192.0.2.1"])))
    direction = data.draw(st.sampled_from(list(Direction)))
    number = 0 if protocol == 1 else number
    compiled = compile_bundle(policy)
    table: dict[tuple, Decision] = {
        (d.identity, d.direction, d.shape): d for d in compiled.decisions
    }
    assert len(table) == len(compiled.decisions)
    identity = identify(policy, peer)
    shapes = compiled.shapes[identity, direction]
    found = lookup(table, shapes, identity, direction, protocol, number)
    expected = evaluate(policy, NewFlow(direction, peer, protocol, number))
    assert (found.uid if found else "") == expected.rule
    if found:
        assert found.action is expected.action


def test_a_range_costs_no_more_than_its_blocks():
    compiled = compile_bundle(bundle(rule("p/all", "tcp/1024-65535", (1,)), endpoints=PEERS))
    assert len(compiled.decisions) == 6


@pytest.mark.parametrize("services", ["tcp", "any"])
def test_a_whole_protocol_is_one_entry(services):
    compiled = compile_bundle(bundle(rule("p/x", services, (1,)), endpoints=PEERS))
    assert len(compiled.decisions) == 1
