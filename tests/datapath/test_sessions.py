"""Flows over time: replies, handshakes, closing, timeouts, revocation."""

from __future__ import annotations

import pytest
from builders import bundle, rule
from packets import ACK, FIN, RST, SYN, echo, tcp_packet, udp_packet

from tcmicro_agent import abi
from tcmicro_agent.abi import Direction, Reason, SessionState
from tcmicro_agent.policy.model import Action
from tcmicro_agent.policy.model import Direction as Way

US, PEER = "10.0.0.1", "10.0.0.2"
PAIRS = [(US, PEER), ("fd00::1", "fd00::2")]
IN, OUT = Direction.INGRESS, Direction.EGRESS


@pytest.fixture
def open_http(datapath):
    datapath.enforce(bundle(rule("p/http", "tcp/80")))
    return datapath


def handshake(datapath, us: str, peer: str) -> None:
    assert datapath.ingress(tcp_packet(peer, 1000, us, 80, SYN))
    assert datapath.egress(tcp_packet(us, 80, peer, 1000, SYN | ACK))
    assert datapath.ingress(tcp_packet(peer, 1000, us, 80, ACK))


@pytest.mark.parametrize(("us", "peer"), PAIRS)
def test_handshake_establishes_one_session(open_http, us, peer):
    handshake(open_http, us, peer)
    [session] = open_http.sessions()
    assert session.state is SessionState.ESTABLISHED
    assert (session.opener, session.packets) == (IN, (2, 1))
    assert open_http.egress(tcp_packet(us, 80, peer, 1000, ACK))
    assert not open_http.egress(tcp_packet(us, 81, peer, 1000, ACK))


def test_nobody_may_answer_what_was_not_asked(open_http):
    assert not open_http.ingress(tcp_packet(PEER, 1000, US, 80, SYN | ACK))
    assert not open_http.egress(tcp_packet(US, 80, PEER, 1000, SYN | ACK))
    assert open_http.sessions() == []


@pytest.mark.parametrize(("us", "peer"), PAIRS)
@pytest.mark.parametrize("kind", ["udp", "icmp"])
def test_datagram_replies_pass(datapath, us, peer, kind):
    datapath.enforce(bundle(rule("p/out", "udp/53 icmp", direction=Way.EGRESS)))
    ask = udp_packet(us, 999, peer, 53) if kind == "udp" else echo(us, peer, 5)
    answer = udp_packet(peer, 53, us, 999) if kind == "udp" else echo(peer, us, 5, reply=True)
    stranger = udp_packet(peer, 54, us, 999) if kind == "udp" else echo(peer, us, 6, reply=True)
    assert not datapath.ingress(answer)
    assert datapath.egress(ask)
    assert not datapath.ingress(stranger)
    assert datapath.ingress(answer)
    assert datapath.sessions()[0].state is SessionState.ESTABLISHED


@pytest.mark.parametrize("ending", [[(IN, FIN | ACK), (OUT, FIN | ACK)], [(IN, RST)]])
def test_closed_flow_needs_a_new_decision(open_http, ending):
    handshake(open_http, US, PEER)
    for direction, flags in ending:
        if direction is IN:
            assert open_http.ingress(tcp_packet(PEER, 1000, US, 80, flags))
        else:
            assert open_http.egress(tcp_packet(US, 80, PEER, 1000, flags))
    [session] = open_http.sessions()
    assert session.state is SessionState.CLOSED
    assert open_http.reason(IN, tcp_packet(PEER, 1000, US, 80, SYN)) is Reason.RULE_ALLOW
    assert [s.state for s in open_http.sessions()] == [SessionState.OPENING]


def test_a_new_generation_revokes_at_once_and_can_give_back(open_http):
    handshake(open_http, US, PEER)
    data = tcp_packet(PEER, 1000, US, 80, ACK)
    open_http.enforce(bundle(egress=Action.ALLOW))
    assert open_http.reason(IN, data) is Reason.REVOKED
    # not even the other direction, which may talk to everybody, carries it on
    assert open_http.reason(OUT, tcp_packet(US, 80, PEER, 1000, ACK)) is Reason.REVOKED
    open_http.enforce(bundle(rule("p/http", "tcp/80")))
    assert open_http.reason(IN, data) is Reason.SESSION


def test_allowed_flows_survive_a_new_generation_and_carry_its_stamp(open_http):
    handshake(open_http, US, PEER)
    open_http.enforce(bundle(rule("q/http", "tcp/80-90")))
    assert open_http.reason(IN, tcp_packet(PEER, 1000, US, 80, ACK)) is Reason.SESSION
    [session] = open_http.sessions()
    assert session.generation == open_http.generation
    assert session.rule == open_http.numbers["q/http"]


def test_idle_sessions_expire(open_http):
    handshake(open_http, US, PEER)
    settings = open_http.kernel.map("tcm_settings")
    kept = settings.get(abi.U32.pack(0))
    hz, *rest = abi.SETTINGS.unpack(kept)
    ages = [0 if n == SessionState.ESTABLISHED else value for n, value in enumerate(rest)]
    [session] = open_http.sessions()
    try:
        settings.put(abi.U32.pack(0), abi.SETTINGS.pack(hz, *ages))
        while open_http.kernel.jiffies() <= session.last_seen:
            pass
        assert open_http.reason(IN, tcp_packet(PEER, 1000, US, 80, ACK)) is Reason.NO_SESSION
    finally:
        settings.put(abi.U32.pack(0), kept)


def test_half_open_flood_leaves_established_sessions_alone(open_http):
    handshake(open_http, US, PEER)
    for port in range(2000, 6000):
        open_http.ingress(tcp_packet("10.7.0.1", port, US, 80, SYN))
        open_http.ingress(tcp_packet("10.7.0.1", port, US, 80, SYN))
    assert open_http.reason(IN, tcp_packet(PEER, 1000, US, 80, ACK)) is Reason.SESSION
