"""Questions about a flow: how they are written, which packet they make, what the model answers."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address, ip_network

import pytest

from tcmicro_agent import question
from tcmicro_agent.config import Failsafe
from tcmicro_agent.errors import QuestionError
from tcmicro_agent.policy.model import (
    Action,
    Bundle,
    Direction,
    Identity,
    IdentityInfo,
    Mode,
    Protocol,
    Rule,
    Service,
)
from tcmicro_agent.question import Opinion, Question

OURS = {ip_address("10.0.0.1"), ip_address("fd00::1")}
WEB = ip_address("10.0.0.2")
POLICY = Bundle(
    host="db1",
    mode=Mode.PROTECT,
    default_ingress=Action.DENY,
    default_egress=Action.DENY,
    identities=(IdentityInfo(Identity(1), "web"),),
    endpoints={"10.0.0.2/32": Identity(1)},
    rules=(
        Rule(
            uid="p/db",
            direction=Direction.INGRESS,
            action=Action.ALLOW,
            services=(Service(Protocol.TCP, 5432, 5432),),
            identities=(Identity(1),),
            any_peer=False,
            tier="app",
            source="p.yml:3",
        ),
    ),
    default_source=("p", "p"),
)


def read(source: str, target: str) -> Question:
    return question.read(source, target, OURS.__contains__)


@pytest.mark.parametrize(
    ("source", "target", "direction", "peer", "protocol", "port"),
    [
        ("self", "10.0.0.2:443/tcp", Direction.EGRESS, "10.0.0.2", 6, 443),
        ("10.0.0.2", "self:22/tcp", Direction.INGRESS, "10.0.0.2", 6, 22),
        ("10.0.0.2", "10.0.0.1:53/udp", Direction.INGRESS, "10.0.0.2", 17, 53),
        ("fd00::1", "[fd00::2]:9/sctp", Direction.EGRESS, "fd00::2", 132, 9),
        ("fd00::2", "self/icmp", Direction.INGRESS, "fd00::2", 1, 0),
        ("self", "fd00::2/58", Direction.EGRESS, "fd00::2", 1, 0),
        ("self", "10.0.0.2/47", Direction.EGRESS, "10.0.0.2", 47, 0),
    ],
)
def test_what_is_asked(source, target, direction, peer, protocol, port):
    assert read(source, target) == Question(direction, ip_address(peer), protocol, port)


@pytest.mark.parametrize(
    ("source", "target", "text"),
    [
        ("self", "10.0.0.2:22", "is not ADDRESS:PORT/PROTOCOL"),
        ("self", "10.0.0.2/tcp", "tcp needs a port"),
        ("self", "10.0.0.2:70000/tcp", "tcp needs a port"),
        ("self", "10.0.0.2:1/icmp", "icmp has no ports"),
        ("self", "10.0.0.2:1/tpc", '"tpc" is not a protocol'),
        ("self", "10.0.0.2/44", '"44" is not a protocol'),
        ("self", "10.0.0.2/256", '"256" is not a protocol'),
        ("self", "db1:22/tcp", '"db1" is neither self nor an IP address'),
        ("self", "[fe80::1%eth0]:22/tcp", "has a zone"),
        ("self", "10.0.0.1:22/tcp", "both sides are this host"),
        ("10.0.0.2", "10.0.0.3:22/tcp", "neither side is this host"),
        ("self", "self:22/tcp", "both sides are this host"),
    ],
)
def test_what_cannot_be_asked(source, target, text):
    with pytest.raises(QuestionError) as caught:
        read(source, target)
    assert text in str(caught.value)
    assert caught.value.exit_code == 6


def test_the_model_names_the_rule():
    db = Question(Direction.INGRESS, WEB, 6, 5432)
    assert question.model(db, POLICY, ()) == Opinion(
        Action.ALLOW, "rule_allow", "p/db", Identity(1)
    )
    other = question.model(replace(db, port=22), POLICY, ())
    assert other == Opinion(Action.DENY, "default_deny", "default/ingress", Identity(1))
    assert question.model(db, None, ()).reason == "unenforced"


@pytest.mark.parametrize(("peer", "kind"), [("10.0.0.2", 8), ("fd00::2", 128)])
def test_icmp_asks_for_a_ping(peer, kind):
    ping = replace(POLICY.rules[0], services=(Service(Protocol.ICMP, kind << 8, kind << 8),))
    policy = replace(POLICY, rules=(replace(ping, any_peer=True),))
    asked = Question(Direction.INGRESS, ip_address(peer), 1, 0)
    assert question.model(asked, policy, ()).reason == "rule_allow"


@pytest.mark.parametrize(
    ("way", "protocol", "port", "cidr", "asked", "kept"),
    [
        ("ingress", "tcp", 22, "10.0.0.0/24", Question(Direction.INGRESS, WEB, 6, 22), True),
        ("ingress", "tcp", 22, "::/0", Question(Direction.INGRESS, WEB, 6, 22), True),
        ("ingress", "tcp", 22, "10.1.0.0/24", Question(Direction.INGRESS, WEB, 6, 22), False),
        ("ingress", "tcp", 22, "10.0.0.0/24", Question(Direction.EGRESS, WEB, 6, 22), False),
        ("egress", "udp", 53, "10.0.0.2/32", Question(Direction.EGRESS, WEB, 17, 53), True),
        ("egress", "udp", 53, "10.0.0.2/32", Question(Direction.EGRESS, WEB, 6, 53), False),
        ("ingress", "icmp", 0, "10.0.0.2/32", Question(Direction.EGRESS, WEB, 1, 0), True),
    ],
)
def test_the_model_knows_the_failsafe(way, protocol, port, cidr, asked, kept):
    entry = Failsafe(Direction(way), Protocol(protocol), port, ip_network(cidr))
    assert (question.model(asked, POLICY, [entry]).reason == "failsafe") is kept


def test_the_model_knows_dhcp():
    asked = Question(Direction.EGRESS, ip_address("255.255.255.255"), 17, 67)
    assert question.model(asked, POLICY, ()).reason == "dhcp"
    assert question.model(replace(asked, protocol=6), POLICY, ()).reason == "default_deny"
    assert question.model(replace(asked, port=68), POLICY, ()).reason == "default_deny"
