"""Flows over time: replies, time-outs, new generations, and tables that are full."""

from __future__ import annotations

import struct

import pytest
from builders import bundle, rule
from packets import ACK, FIN, ICMP, RST, SYN, echo, icmp, packet, tcp_packet, udp_packet

from tcmicro_agent.abi import Direction, Reason, SessionState, SessionTable
from tcmicro_agent.policy.model import Action
from tcmicro_agent.policy.model import Direction as Way
from tcmicro_agent.tuning import Limits, TcpMode, Tuning

US, PEER = "10.0.0.1", "10.0.0.2"
PAIRS = [(US, PEER), ("fd00::1", "fd00::2")]
IN, OUT = Direction.INGRESS, Direction.EGRESS
SHORT, LONG = 2, 1_000_000  # jiffies
HANDSHAKE = [(IN, SYN), (OUT, SYN | ACK), (IN, ACK)]
REFUSAL = {"udp": Reason.DEFAULT_DENY, "icmp": Reason.NO_SESSION}  # of an answer nobody waits for
SOURCE_PORT = 34  # where the ports of an IPv4 frame without options lie


@pytest.fixture
def open_http(datapath):
    datapath.enforce(bundle(rule("p/http", "tcp/80")))
    datapath.tune(Tuning(tcp=TcpMode.STRICT))
    return datapath


@pytest.fixture
def asking(datapath):
    """We may ask and ping everybody; nobody may ask us."""
    datapath.enforce(bundle(rule("p/out", "udp icmp", direction=Way.EGRESS)))
    return datapath


def send(datapath, direction: Direction, flags: int) -> bool:
    if direction is IN:
        return datapath.ingress(tcp_packet(PEER, 1000, US, 80, flags))
    return datapath.egress(tcp_packet(US, 80, PEER, 1000, flags))


def establish(datapath) -> None:
    for direction, flags in HANDSHAKE:
        assert send(datapath, direction, flags)


def conversation(kind: str, us: str, peer: str) -> tuple[bytes, bytes, bytes]:
    """A question of ours, its answer, and an answer to something else."""
    if kind == "udp":
        return (
            udp_packet(us, 999, peer, 53),
            udp_packet(peer, 53, us, 999),
            udp_packet(peer, 54, us, 999),
        )
    return echo(us, peer, 5), echo(peer, us, 5, reply=True), echo(peer, us, 6, reply=True)


def pass_jiffies(datapath, count: int) -> None:
    until = datapath.kernel.jiffies() + count
    while datapath.kernel.jiffies() <= until:
        pass


# --- datagrams -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("us", "peer"), PAIRS)
@pytest.mark.parametrize("kind", ["udp", "icmp"])
def test_only_the_answer_to_a_question_passes(asking, us, peer, kind):
    ask, answer, stranger = conversation(kind, us, peer)
    assert not asking.ingress(answer)
    assert asking.egress(ask)
    assert not asking.ingress(stranger)
    assert asking.ingress(answer)
    assert asking.reason(OUT, ask) is Reason.SESSION
    [session] = asking.sessions()
    assert (session.state, session.opener) == (SessionState.ESTABLISHED, OUT)
    assert session.packets == (1, 2)


@pytest.mark.parametrize(("us", "peer"), PAIRS)
@pytest.mark.parametrize("kind", ["udp", "icmp"])
def test_unanswered_and_answered_live_apart(asking, us, peer, kind):
    half, other = (
        (SessionTable.HALF4, SessionTable.OTHER4)
        if us == US
        else (SessionTable.HALF6, SessionTable.OTHER6)
    )
    ask, answer, _ = conversation(kind, us, peer)
    for _ in range(3):
        assert asking.egress(ask)
        assert [t for t, n in asking.kernel.sessions.counts().items() if n] == [half]
    assert asking.ingress(answer)
    assert [t for t, n in asking.kernel.sessions.counts().items() if n] == [other]


@pytest.mark.parametrize("kind", ["udp", "icmp"])
@pytest.mark.parametrize("answered", [False, True])
def test_datagrams_have_two_time_outs(asking, kind, answered):
    ask, answer, _ = conversation(kind, US, PEER)
    for own in (SHORT, LONG):
        other = LONG + SHORT - own
        asking.expire_after(asked=other if answered else own, replied=own if answered else other)
        assert asking.egress(ask)
        if answered:
            assert asking.ingress(answer)
        pass_jiffies(asking, SHORT + 1)
        late = asking.reason(IN, answer)
        assert late is (Reason.SESSION if own == LONG else REFUSAL[kind])
        asking.forget_sessions()


# --- time-outs of TCP ------------------------------------------------------------------------------

REACHED_BY = {
    SessionState.OPENING: HANDSHAKE[:1],
    SessionState.ANSWERED: HANDSHAKE[:2],
    SessionState.ESTABLISHED: HANDSHAKE,
    SessionState.CLOSING: [*HANDSHAKE, (OUT, FIN | ACK)],
    SessionState.CLOSED: [*HANDSHAKE, (OUT, RST)],
}


@pytest.mark.parametrize("state", SessionState)
def test_every_state_has_its_own_time_out(open_http, state):
    names = [s.name.lower() for s in SessionState]
    for own in (SHORT, LONG):
        open_http.expire_after(**dict.fromkeys(names, LONG))
        for direction, flags in REACHED_BY[state]:
            assert send(open_http, direction, flags)
        open_http.expire_after(**dict.fromkeys(names, LONG + SHORT - own))
        open_http.expire_after(**{state.name.lower(): own})
        pass_jiffies(open_http, SHORT + 1)
        reason = open_http.reason(IN, tcp_packet(PEER, 1000, US, 80, ACK))
        assert reason is (Reason.SESSION if own == LONG else Reason.NO_SESSION)
        open_http.forget_sessions()


def test_packets_keep_a_session_alive_and_refused_ones_do_not(open_http):
    establish(open_http)
    open_http.expire_after(established=20)
    for _ in range(4):
        pass_jiffies(open_http, 8)
        assert send(open_http, IN, ACK)
    open_http.enforce(bundle(rule("p/other", "tcp/81")))
    for _ in range(4):
        pass_jiffies(open_http, 8)
        assert not send(open_http, IN, ACK)
    open_http.enforce(bundle(rule("p/http", "tcp/80")))
    assert open_http.reason(IN, tcp_packet(PEER, 1000, US, 80, ACK)) is Reason.NO_SESSION


@pytest.mark.parametrize(("us", "peer"), PAIRS)
def test_a_ping_of_ours_lets_nothing_in_but_its_answer(datapath, us, peer):
    datapath.enforce(bundle(rule("p/out", "icmp", direction=Way.EGRESS)))
    timestamp, ident = 13, 13 << 8
    assert datapath.egress(echo(us, peer, ident))
    assert not datapath.ingress(echo(peer, us, ident))
    assert not datapath.ingress(packet(peer, us, ICMP, icmp(timestamp, ident=ident)))
    assert datapath.ingress(echo(peer, us, ident, reply=True))


# --- generations -----------------------------------------------------------------------------------


def test_a_new_generation_revokes_at_once_and_can_give_back(open_http):
    establish(open_http)
    data = tcp_packet(PEER, 1000, US, 80, ACK)
    open_http.enforce(bundle(egress=Action.ALLOW))
    assert open_http.reason(IN, data) is Reason.REVOKED
    # not even the other direction, which may talk to everybody, carries it on
    assert open_http.reason(OUT, tcp_packet(US, 80, PEER, 1000, ACK)) is Reason.REVOKED
    open_http.enforce(bundle(rule("p/http", "tcp/80")))
    assert open_http.reason(IN, data) is Reason.SESSION


def test_allowed_flows_survive_a_new_generation_and_carry_its_stamp(open_http):
    establish(open_http)
    open_http.enforce(bundle(rule("q/http", "tcp/80-90")))
    assert open_http.reason(IN, tcp_packet(PEER, 1000, US, 80, ACK)) is Reason.SESSION
    [session] = open_http.sessions()
    assert session.generation == open_http.generation
    assert session.rule == open_http.numbers["q/http"]


@pytest.mark.parametrize("kind", ["udp", "icmp"])
def test_datagrams_are_revoked_alike(asking, kind):
    ask, answer, _ = conversation(kind, US, PEER)
    assert asking.egress(ask)
    assert asking.ingress(answer)
    asking.enforce(bundle())
    assert asking.reason(IN, answer) is Reason.REVOKED
    assert asking.reason(OUT, ask) is Reason.REVOKED
    asking.enforce(bundle(rule("p/out", "udp icmp", direction=Way.EGRESS)))
    assert asking.reason(IN, answer) is Reason.SESSION


def test_each_flow_is_judged_again_as_the_one_who_opened_it(datapath):
    """After the change only calls of ours pass: the same packets live or die by who called."""
    datapath.enforce(bundle(rule("p/in", "tcp/80"), egress=Action.ALLOW))
    establish(datapath)
    assert datapath.egress(tcp_packet(US, 80, PEER, 2000, SYN))
    datapath.enforce(bundle(egress=Action.ALLOW))
    assert datapath.reason(IN, tcp_packet(PEER, 1000, US, 80, ACK)) is Reason.REVOKED
    assert datapath.reason(IN, tcp_packet(PEER, 2000, US, 80, SYN | ACK)) is Reason.SESSION


# --- full tables -----------------------------------------------------------------------------------


class Stream:
    """Many frames that differ in their ports and in the last two bytes of one address, sent fast."""

    def __init__(self, datapath, direction: Direction, frame: bytes) -> None:
        name = "tcm_ingress" if direction is IN else "tcm_egress"
        self._opened = datapath.kernel.programs.open(name)
        self._frame = bytearray(frame)
        self._peer, self._port = (28, SOURCE_PORT) if direction is IN else (32, SOURCE_PORT + 2)

    def send(self, number: int) -> None:
        struct.pack_into("!H", self._frame, self._peer, number >> 14)
        struct.pack_into("!H", self._frame, self._port, 1024 + (number & 0x3FFF))
        self._opened.program.test_run(bytes(self._frame))

    def __enter__(self) -> Stream:
        self._opened.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._opened.__exit__(*error)


def fill_with_connections(datapath, count: int) -> None:
    inward = Stream(datapath, IN, tcp_packet("10.1.0.2", 0, US, 80, SYN))
    outward = Stream(datapath, OUT, tcp_packet(US, 80, "10.1.0.2", 0, SYN | ACK))
    third = Stream(datapath, IN, tcp_packet("10.1.0.2", 0, US, 80, ACK))
    with inward, outward, third:
        for number in range(count):
            for stream in (inward, outward, third):
                stream.send(number)


def test_a_syn_flood_evicts_no_connection(open_http):
    """Three times what the half-open table holds, each SYN sent twice, which is what ruins a single table."""
    open_http.tune(Tuning(tcp=TcpMode.STRICT, syn_source=Limits(0, 0)))
    sessions = open_http.kernel.sessions
    capacity = sessions.capacities()
    fill_with_connections(open_http, capacity[SessionTable.TCP4] // 2)
    before = sessions.counts()[SessionTable.TCP4]
    with Stream(open_http, IN, tcp_packet("10.7.0.2", 0, US, 80, SYN)) as flood:
        for number in range(3 * capacity[SessionTable.HALF4]):
            flood.send(number)
            flood.send(number)
    counts = sessions.counts()
    assert counts[SessionTable.HALF4] > 0.9 * capacity[SessionTable.HALF4]
    assert counts[SessionTable.TCP4] == before > 0.99 * capacity[SessionTable.TCP4] // 2
    establish(open_http)


def test_a_storm_of_name_lookups_evicts_no_connection(datapath):
    datapath.enforce(bundle(rule("p/http", "tcp/80"), egress=Action.ALLOW))
    datapath.tune(Tuning(syn_source=Limits(0, 0)))
    sessions = datapath.kernel.sessions
    capacity = sessions.capacities()
    fill_with_connections(datapath, capacity[SessionTable.TCP4] // 2)
    before = sessions.counts()[SessionTable.TCP4]
    ask = Stream(datapath, OUT, udp_packet(US, 53, "10.7.0.2", 0))
    answer = Stream(datapath, IN, udp_packet("10.7.0.2", 0, US, 53))
    with ask, answer:
        for number in range(3 * capacity[SessionTable.OTHER4]):
            for stream in (ask, answer, ask, answer):
                stream.send(number)
    counts = sessions.counts()
    assert counts[SessionTable.OTHER4] > 0.8 * capacity[SessionTable.OTHER4]
    assert counts[SessionTable.TCP4] == before > 0.99 * capacity[SessionTable.TCP4] // 2


def test_answers_that_nobody_asked_for_leave_no_trace(asking):
    with Stream(asking, IN, udp_packet("10.7.0.2", 0, US, 53)) as stream:
        for number in range(1000):
            stream.send(number)
    assert asking.sessions() == []
