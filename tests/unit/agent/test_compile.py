"""Compiled decisions against the oracle: most specific key first gives the first matching rule."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address

import pytest
from builders import bundle, rule
from hypothesis import given, settings
from hypothesis import strategies as st

from tcmicro_agent.policy.compile import (
    EVERYTHING,
    PORT_BITS,
    SHAPE_ANY,
    Group,
    Shape,
    compile_bundle,
    prefixes,
)
from tcmicro_agent.policy.evaluate import NewFlow, evaluate, identify
from tcmicro_agent.policy.model import Action, Bundle, Direction, Rule

PEERS = {"10.0.0.1": 1, "10.0.0.2": 2}
port = st.one_of(st.integers(0, 65535), st.sampled_from([0, 1, 22, 80, 443, 65535]))


@given(port, port)
def test_prefixes_cover_a_range_exactly_and_briefly(one, other):
    first, last = sorted((one, other))
    blocks = list(prefixes(first, last))
    covered = [(start, start + (1 << PORT_BITS - length)) for length, start in blocks]
    assert covered[0][0] == first
    assert covered[-1][1] == last + 1
    assert all(left[1] == right[0] for left, right in zip(covered, covered[1:]))
    assert all(start % (end - start) == 0 for start, end in covered)
    assert len(blocks) <= 30


def lookup(group: Group, protocol: int, number: int) -> Rule | None:
    """find_rule of bpf/policy.h, in Python."""
    for length in range(PORT_BITS, -1, -1):
        if group.shapes & 1 << length:
            mask = (1 << PORT_BITS) - (1 << PORT_BITS - length)
            found = group.decisions.get(Shape(protocol, length, number & mask))
            if found:
                return found
    return group.decisions.get(EVERYTHING) if group.shapes & 1 << SHAPE_ANY else None


def only_group(groups: tuple[Group, ...], identity: int, direction: Direction) -> Group:
    (found,) = (g for g in groups if g.direction is direction and identity in g.identities)
    return found


def entries(policy: Bundle) -> int:
    return sum(len(g.identities) * len(g.decisions) for g in compile_bundle(policy))


ranges = st.tuples(port, port).map(lambda r: f"{min(r)}-{max(r)}")
one_service = st.one_of(
    st.builds(lambda proto, r: f"{proto}/{r}", st.sampled_from(["tcp", "udp", "icmp"]), ranges),
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
    made = bundle(*(replace(r, audits=draw(st.booleans())) for r in rules), endpoints=PEERS)
    audited = draw(st.sets(st.sampled_from([direction.value for direction in Direction])))
    return replace(made, audited_defaults=frozenset(audited))


@settings(max_examples=300, deadline=None)
@given(policy=bundles(), number=port, protocol=st.sampled_from([1, 6, 17, 47]), data=st.data())
def test_lookup_agrees_with_first_match(policy, number, protocol, data):
    peer = ip_address(data.draw(st.sampled_from([*PEERS, "192.0.2.1"])))
    direction = data.draw(st.sampled_from(list(Direction)))
    group = only_group(compile_bundle(policy), identify(policy, peer), direction)
    found = lookup(group, protocol, number)
    expected = evaluate(policy, NewFlow(direction, peer, protocol, number))
    assert (found.uid if found else "") == expected.rule
    if found:
        assert found.action is expected.action


def test_a_range_costs_no_more_than_its_blocks():
    assert entries(bundle(rule("p/all", "tcp/1024-65535", (1,)), endpoints=PEERS)) == 6


@pytest.mark.parametrize("services", ["tcp", "any"])
def test_a_whole_protocol_is_one_entry(services):
    assert entries(bundle(rule("p/x", services, (1,)), endpoints=PEERS)) == 1


def test_identities_under_the_same_rules_share_a_group():
    policy = bundle(rule("p/a", "tcp/80", (1, 2)), rule("p/b", "tcp/81", (3,)), endpoints=PEERS)
    groups = [g for g in compile_bundle(policy) if g.direction is Direction.INGRESS]
    assert [list(g.identities) for g in groups] == [[0], [1, 2], [3]]
