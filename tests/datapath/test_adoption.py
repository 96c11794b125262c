"""TCP in mid-flow that is not tracked: what becomes of it in each mode, with real connections and without any."""

from __future__ import annotations

import pytest
from attaching import guarding
from builders import bundle, rule
from packets import ACK, FIN, RST, SYN, tcp_packet
from world import PEER, PEER6, US, US6, World, connection, talks, tcp

from tcmicro_agent.abi import Direction, Reason, SessionFlag, SessionState
from tcmicro_agent.policy.model import Action
from tcmicro_agent.policy.model import Direction as Way
from tcmicro_agent.tuning import TcpMode, Tuning

SERVICE, THEIRS = 5432, 80
IN, OUT = Direction.INGRESS, Direction.EGRESS
CALLED = bundle(rule("p/db", f"tcp/{SERVICE}"))  # they may call us, and nothing else
CALLING = bundle(rule("p/out", f"tcp/{THEIRS}", direction=Way.EGRESS))  # we may call them
ADOPTING = [TcpMode.SOCKET, TcpMode.LOOSE]
CALLS = {"they": (CALLED, IN), "we": (CALLING, OUT)}


@pytest.fixture
def world():
    """New for every test: a connection that was refused goes on sending for a while."""
    made = World()
    made.serve(made.us, SERVICE)
    made.serve(made.peer, THEIRS)
    yield made
    made.close()


@pytest.fixture
def guarded(kernel, world):
    with guarding(kernel, world.us, "eth0") as made:
        made.world = world
        yield made


def call(guarded, who: str, *, six: bool = False):
    """A connection that they or we open."""
    while six and not tcp(
        guarded.world.us, PEER6, THEIRS
    ):  # a new link learns of it a moment later
        pass
    guarded.forget_sessions()
    if who == "they":
        return connection(guarded.world.peer, US6 if six else US, SERVICE)
    return connection(guarded.world.us, PEER6 if six else PEER, THEIRS)


@pytest.mark.parametrize("six", [False, True], ids=["v4", "v6"])
@pytest.mark.parametrize("who", CALLS)
@pytest.mark.parametrize("mode", ADOPTING)
def test_a_connection_older_than_the_first_policy_goes_on(guarded, mode, who, six):
    policy, opener = CALLS[who]
    guarded.tune(Tuning(tcp=mode))
    with call(guarded, who, six=six) as client:
        assert talks(client)
        guarded.enforce(policy)
        assert talks(client)
        [session] = guarded.sessions()
        assert (session.opener, session.flags) == (opener, SessionFlag.ADOPTED)
        assert session.state is SessionState.ESTABLISHED


@pytest.mark.parametrize("who", CALLS)
def test_strict_refuses_a_connection_older_than_the_first_policy(guarded, who):
    policy, _ = CALLS[who]
    guarded.tune(Tuning(tcp=TcpMode.STRICT))
    with call(guarded, who) as client:
        guarded.enforce(policy)
        assert not talks(client)
        assert guarded.sessions() == []
    with call(guarded, who) as client:
        assert talks(client)


@pytest.mark.parametrize("who", CALLS)
@pytest.mark.parametrize("mode", ADOPTING)
def test_what_policy_refuses_its_opener_is_not_adopted(guarded, mode, who):
    """The other direction is open to everybody: it must not carry the connection."""
    guarded.tune(Tuning(tcp=mode))
    with call(guarded, who) as client:
        policy = bundle(egress=Action.ALLOW) if who == "they" else bundle(ingress=Action.ALLOW)
        guarded.enforce(policy)
        assert not talks(client)
        assert guarded.sessions() == []


@pytest.mark.parametrize("who", CALLS)
@pytest.mark.parametrize("mode", ADOPTING)
def test_an_evicted_connection_comes_back_as_what_it_was(guarded, mode, who):
    policy, opener = CALLS[who]
    guarded.tune(Tuning(tcp=mode))
    guarded.enforce(policy)
    with call(guarded, who) as client:
        for _ in range(3):
            guarded.forget_sessions()
            assert talks(client)
            assert [s.opener for s in guarded.sessions()] == [opener]


def test_strict_ends_an_evicted_connection(guarded):
    guarded.tune(Tuning(tcp=TcpMode.STRICT))
    guarded.enforce(CALLED)
    with call(guarded, "they") as client:
        assert talks(client)
        guarded.forget_sessions()
        assert not talks(client)
    assert tcp(guarded.world.peer, US, SERVICE)


# --- packets that no socket knows ---------------------------------------------------------------------

OURS, THEM = "10.0.0.1", "10.0.0.2"


@pytest.mark.parametrize("flags", [ACK, FIN | ACK, RST, SYN | ACK])
@pytest.mark.parametrize("mode", [TcpMode.SOCKET, TcpMode.STRICT])
def test_nobodys_packet_is_refused(datapath, mode, flags):
    datapath.tune(Tuning(tcp=mode))
    datapath.enforce(bundle(ingress=Action.ALLOW, egress=Action.ALLOW))
    assert datapath.reason(IN, tcp_packet(THEM, 9, OURS, 80, flags)) is Reason.NO_SESSION
    assert datapath.reason(OUT, tcp_packet(OURS, 80, THEM, 9, flags)) is Reason.NO_SESSION
    assert datapath.sessions() == []


def test_loose_judges_nobodys_packet_as_if_it_opened_the_connection(datapath):
    datapath.tune(Tuning(tcp=TcpMode.LOOSE))
    datapath.enforce(bundle(rule("p/http", "tcp/80")))
    assert datapath.reason(IN, tcp_packet(THEM, 9, OURS, 80, ACK)) is Reason.SESSION
    assert datapath.reason(OUT, tcp_packet(OURS, 80, THEM, 9, ACK)) is Reason.SESSION
    [session] = datapath.sessions()
    assert (session.opener, session.flags) == (IN, SessionFlag.ADOPTED)
    assert datapath.reason(IN, tcp_packet(THEM, 9, OURS, 81, ACK)) is Reason.DEFAULT_DENY
    assert datapath.reason(OUT, tcp_packet(OURS, 80, THEM, 8, ACK)) is Reason.DEFAULT_DENY


def test_a_listener_alone_adopts_nothing(guarded):
    """An ACK scan finds the listening socket, and that is no connection."""
    guarded.enforce(bundle(ingress=Action.ALLOW))
    scan = tcp_packet(PEER, 4321, US, SERVICE, ACK)
    assert guarded.world.us.inside(guarded.reason, IN, scan) is Reason.NO_SESSION
