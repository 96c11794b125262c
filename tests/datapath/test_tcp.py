"""TCP as the programs follow it: the states of a connection, what ends it, and what never counts."""

from __future__ import annotations

import pytest
from builders import bundle, rule
from packets import ACK, FIN, RST, SYN, tcp_packet

from tcmicro_agent.abi import Direction, Reason, SessionState, SessionTable
from tcmicro_agent.policy.model import Direction as Way
from tcmicro_agent.tuning import TcpMode, Tuning

FAMILIES = {"v4": ("10.0.0.1", "10.0.0.2"), "v6": ("fd00::1", "fd00::2")}
US, PEER = FAMILIES["v4"]
IN, OUT = Direction.INGRESS, Direction.EGRESS
OPENING, ANSWERED, ESTABLISHED = (
    SessionState.OPENING,
    SessionState.ANSWERED,
    SessionState.ESTABLISHED,
)
CLOSING, CLOSED = SessionState.CLOSING, SessionState.CLOSED
HANDSHAKE = [(IN, SYN, OPENING), (OUT, SYN | ACK, ANSWERED), (IN, ACK, ESTABLISHED)]

# Packets of one connection that the peer opens, each with the state it leaves behind.
CONNECTIONS = {
    "handshake": HANDSHAKE,
    "repeated SYN": [(IN, SYN, OPENING), (IN, SYN, OPENING), *HANDSHAKE[1:]],
    "repeated SYN-ACK": [*HANDSHAKE[:2], (OUT, SYN | ACK, ANSWERED), HANDSHAKE[2]],
    "ACK before the SYN-ACK": [(IN, SYN, OPENING), (IN, ACK, OPENING), *HANDSHAKE[1:]],
    "SYN-ACK of the opener": [(IN, SYN, OPENING), (IN, SYN | ACK, OPENING)],
    "data both ways": [*HANDSHAKE, (IN, ACK, ESTABLISHED), (OUT, ACK, ESTABLISHED)],
    "peer closes first": [*HANDSHAKE, (IN, FIN | ACK, CLOSING), (OUT, FIN | ACK, CLOSED)],
    "we close first": [*HANDSHAKE, (OUT, FIN | ACK, CLOSING), (IN, FIN | ACK, CLOSED)],
    "half closed": [*HANDSHAKE, (IN, FIN | ACK, CLOSING), (OUT, ACK, CLOSING), (IN, ACK, CLOSING)],
    "repeated FIN": [*HANDSHAKE, (IN, FIN | ACK, CLOSING), (IN, FIN | ACK, CLOSING)],
    "last ACK": [
        *HANDSHAKE,
        (IN, FIN | ACK, CLOSING),
        (OUT, FIN | ACK, CLOSED),
        (IN, ACK, CLOSED),
    ],
    "FIN with the third packet": [
        *HANDSHAKE[:2],
        (IN, FIN | ACK, CLOSING),
        (OUT, FIN | ACK, CLOSED),
    ],
    "peer resets": [*HANDSHAKE, (IN, RST, CLOSED)],
    "we reset": [*HANDSHAKE, (OUT, RST | ACK, CLOSED)],
    "refused": [(IN, SYN, OPENING), (OUT, RST | ACK, CLOSED)],
    "reset in the handshake": [*HANDSHAKE[:2], (IN, RST, CLOSED)],
    "reset while closing": [*HANDSHAKE, (IN, FIN | ACK, CLOSING), (OUT, RST, CLOSED)],
}


@pytest.fixture
def http(datapath):
    """Only what is tracked passes beside a SYN to port 80: no socket helps."""
    datapath.enforce(bundle(rule("p/http", "tcp/80")))
    datapath.tune(Tuning(tcp=TcpMode.STRICT))
    return datapath


def packet(direction: Direction, flags: int, *, family: str = "v4", port: int = 80) -> bytes:
    us, peer = FAMILIES[family]
    if direction is IN:
        return tcp_packet(peer, 1000, us, port, flags)
    return tcp_packet(us, port, peer, 1000, flags)


def send(datapath, direction: Direction, flags: int, **kind) -> bool:
    frame = packet(direction, flags, **kind)
    return datapath.ingress(frame) if direction is IN else datapath.egress(frame)


def establish(datapath, **kind) -> None:
    for direction, flags, _ in HANDSHAKE:
        assert send(datapath, direction, flags, **kind)


def tables(datapath) -> dict[SessionTable, int]:
    return {table: n for table, n in datapath.kernel.sessions.counts().items() if n}


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("name", CONNECTIONS)
def test_states_of_a_connection(http, name, family):
    counted = [0, 0]
    for direction, flags, state in CONNECTIONS[name]:
        assert send(http, direction, flags, family=family)
        counted[direction] += 1
        [session] = http.sessions()
        assert (session.state, session.opener) == (state, IN)
        assert list(session.packets) == counted


@pytest.mark.parametrize("family", FAMILIES)
def test_only_an_answered_connection_leaves_the_half_open_table(http, family):
    half, tcp = (
        (SessionTable.HALF4, SessionTable.TCP4)
        if family == "v4"
        else (SessionTable.HALF6, SessionTable.TCP6)
    )
    for direction, flags, state in HANDSHAKE:
        assert send(http, direction, flags, family=family)
        assert tables(http) == {tcp if state is ESTABLISHED else half: 1}


@pytest.mark.parametrize("flags", [ACK, SYN | ACK, FIN | ACK, RST, RST | ACK])
@pytest.mark.parametrize("direction", Direction)
def test_nothing_but_a_syn_opens_a_connection(http, direction, flags):
    assert http.reason(direction, packet(direction, flags)) is Reason.NO_SESSION
    assert http.sessions() == []


def test_sequence_numbers_and_windows_do_not_count(http):
    """Offloads and asymmetric paths show us gaps that are none."""
    establish(http)
    frame = bytearray(packet(IN, ACK))
    for number in (0, 2**31, 2**32 - 1):
        frame[38:42] = number.to_bytes(4, "big")
        frame[48:50] = b"\0\0"
        assert http.reason(IN, bytes(frame)) is Reason.SESSION


@pytest.mark.parametrize(
    "ending",
    [
        [(IN, FIN | ACK), (OUT, FIN | ACK)],
        [(IN, RST)],
        [(OUT, RST | ACK)],
        [(IN, FIN | ACK)],
        [],
    ],
)
def test_a_syn_on_a_connection_past_its_handshake_is_a_new_decision(http, ending):
    establish(http)
    for direction, flags in ending:
        assert send(http, direction, flags)
    assert http.reason(IN, packet(IN, SYN)) is Reason.RULE_ALLOW
    assert [s.state for s in http.sessions()] == [OPENING]
    assert tables(http) == {SessionTable.HALF4: 1}


def test_a_syn_from_the_other_side_is_a_new_decision(datapath):
    datapath.enforce(
        bundle(rule("p/http", "tcp/80"), rule("p/back", "tcp/1000", direction=Way.EGRESS))
    )
    assert send(datapath, IN, SYN)
    assert datapath.reason(OUT, packet(OUT, SYN)) is Reason.RULE_ALLOW
    assert [s.opener for s in datapath.sessions()] == [OUT]


@pytest.mark.parametrize(
    ("direction", "ending"),
    [(OUT, []), (OUT, [(IN, FIN | ACK)]), (IN, [])],
    ids=["ours", "ours, closing", "the peer's"],
)
def test_a_refused_syn_does_not_end_the_connection_it_imitates(http, direction, ending):
    establish(http)
    for way, flags in ending:
        assert send(http, way, flags)
    before = http.sessions()
    if (
        direction is IN
    ):  # policy changed meanwhile: new connections are refused, the packet is forged
        http.enforce(bundle(rule("p/other", "tcp/81")))
    assert http.reason(direction, packet(direction, SYN)) is Reason.DEFAULT_DENY
    assert http.sessions() == before
    http.enforce(bundle(rule("p/http", "tcp/80")))
    assert http.reason(IN, packet(IN, ACK)) is Reason.SESSION


def test_a_connection_of_ours_is_followed_alike(datapath):
    datapath.enforce(bundle(rule("p/out", "tcp/1000", direction=Way.EGRESS)))
    datapath.tune(Tuning(tcp=TcpMode.STRICT))
    states = []
    for direction, flags in [(OUT, SYN), (IN, SYN | ACK), (OUT, ACK), (IN, FIN | ACK), (OUT, RST)]:
        assert send(datapath, direction, flags)
        [session] = datapath.sessions()
        assert session.opener is OUT
        states.append(session.state)
    assert states == [OPENING, ANSWERED, ESTABLISHED, CLOSING, CLOSED]


def test_neighbouring_connections_do_not_mix(http):
    establish(http)
    for changed in (
        tcp_packet(PEER, 1001, US, 80, ACK),
        tcp_packet("10.0.0.3", 1000, US, 80, ACK),
        tcp_packet(PEER, 1000, "10.0.0.4", 80, ACK),
        tcp_packet(PEER, 1000, US, 81, ACK),
    ):
        assert http.reason(IN, changed) is Reason.NO_SESSION
