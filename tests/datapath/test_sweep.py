"""Expired sessions: what counts as expired, that a sweep finds the same ones, and that it harms no others."""

from __future__ import annotations

from ipaddress import ip_address
from itertools import product

import pytest
from builders import bundle, rule
from packets import ACK, SYN, tcp_packet, udp_packet

from tcmicro_agent import abi
from tcmicro_agent.abi import Direction, Reason, SessionState, SessionTable
from tcmicro_agent.policy.model import Action
from tcmicro_agent.sessions import expired
from tcmicro_agent.sweep import Sweep
from tcmicro_agent.tuning import TcpMode, Tuning

US, PEER = "10.0.0.1", "10.0.0.2"
PAIRS = {4: (US, PEER), 6: ("fd00::1", "fd00::2")}
TCP, UDP = 6, 17
LIMIT = 1000  # jiffies, of every state
TRIES = 1000
IN = Direction.INGRESS


@pytest.fixture
def strict(datapath):
    """A mid-flow packet of no fresh session is refused, so its reason tells what the programs think of the session."""
    datapath.enforce(bundle(rule("p/all", "any"), egress=Action.ALLOW))
    datapath.tune(Tuning(tcp=TcpMode.STRICT))
    names = [state.name.lower() for state in SessionState]
    datapath.expire_after(**dict.fromkeys([*names, "asked", "replied"], LIMIT))
    return datapath


@pytest.fixture
def closed(strict):
    """Nothing lets a packet in but a fresh session."""
    strict.enforce(bundle(egress=Action.ALLOW))
    return strict


def put(datapath, table: SessionTable, *, protocol: int, state: int, last_seen: int, port: int = 1):
    """A session of `port` at the peer with port 80 here."""
    us, peer = (ip_address(a).packed for a in PAIRS[6 if table.is_ipv6 else 4])
    key = table.key.pack(us, peer, (80).to_bytes(2, "big"), port.to_bytes(2, "big"), protocol)
    generation = datapath.generation
    value = abi.SESSION.pack(generation, 1, 0, IN, state, 0, 0, last_seen, 1, 0, 60, 0)
    datapath.kernel.map(table.map_name).put(key, value)


def packet(table: SessionTable, protocol: int, port: int = 1) -> bytes:
    us, peer = PAIRS[6 if table.is_ipv6 else 4]
    if protocol == TCP:
        return tcp_packet(peer, port, us, 80, ACK)
    return udp_packet(peer, port, us, 80)


PLACES = [
    *((table, TCP) for table in SessionTable if table.name.startswith(("HALF", "TCP"))),
    *((table, UDP) for table in SessionTable if table.name.startswith(("HALF", "OTHER"))),
]


@pytest.mark.parametrize(("table", "protocol"), PLACES)
def test_what_is_expired_here_is_expired_for_the_programs(closed, table, protocol):
    for state, age in product(range(len(SessionState) + 1), [-1, 0, LIMIT, LIMIT + 1]):
        wanted = age > LIMIT or state == len(SessionState)
        assert is_expired_here(closed, table, protocol, state, age) is wanted, (state, age)
        assert is_refused(closed, table, protocol, state, age) is wanted, (state, age)


def is_expired_here(closed, table, protocol: int, state: int, age: int) -> bool:
    now = closed.kernel.jiffies()
    put(closed, table, protocol=protocol, state=state, last_seen=now - age)
    [chunk] = closed.kernel.sessions.chunks(table)
    closed.forget_sessions()
    return expired(chunk, closed.kernel.timeouts(), now) == [0]


def is_refused(closed, table, protocol: int, state: int, age: int) -> bool:
    """By the programs, within the jiffy in which the session was written."""
    for _ in range(TRIES):
        now = closed.kernel.jiffies()
        put(closed, table, protocol=protocol, state=state, last_seen=now - age)
        passes = closed.ingress(packet(table, protocol))
        in_time = closed.kernel.jiffies() == now
        closed.forget_sessions()
        if in_time:
            return not passes
    pytest.fail(f"{TRIES} times a jiffy passed between the writing of a session and its packet")


@pytest.mark.parametrize("table", SessionTable)
def test_a_sweep_deletes_what_has_expired_and_nothing_else(strict, table):
    now, sweep = strict.kernel.jiffies(), Sweep(strict.kernel)
    protocol = UDP if table.name.startswith("OTHER") else TCP
    for port in range(1, 201):
        old = port % 2 * (LIMIT + 10)
        put(strict, table, protocol=protocol, state=0, last_seen=now - old, port=port)
    sweep.step(0, 1000)
    assert {s.remote_port for s in strict.sessions()} == set(range(2, 201, 2))
    assert sweep.expired[table] == sum(sweep.expired.values()) == 100


def test_a_session_used_since_it_was_found_stays(strict):
    table, now = SessionTable.TCP4, strict.kernel.jiffies()
    for port in range(1, 101):
        put(strict, table, protocol=TCP, state=2, last_seen=now - LIMIT // 2, port=port)
    [chunk] = strict.kernel.sessions.chunks(table)
    for port in (7, 70):
        assert strict.reason(IN, packet(table, TCP, port)) is Reason.SESSION
    assert strict.kernel.sessions.expire(chunk, range(100)) == 98
    assert {s.remote_port for s in strict.sessions()} == {7, 70}


def test_a_pass_goes_on_with_each_step_and_the_next_waits_its_time(strict):
    sweep, old = Sweep(strict.kernel, chunks_a_step=1), strict.kernel.jiffies() - LIMIT - 10

    def fill():
        put(strict, SessionTable.TCP4, protocol=TCP, state=2, last_seen=old)
        put(strict, SessionTable.OTHER6, protocol=UDP, state=2, last_seen=old)

    fill()
    sweep.step(0, 1000)
    assert len(strict.sessions()) == 1
    sweep.step(1, 1000)
    assert strict.sessions() == []
    sweep.step(2, 1000)  # the pass ends here
    fill()
    sweep.step(999, 1000)
    assert len(strict.sessions()) == 2
    sweep.step(1000, 1000)
    sweep.step(1001, 1000)
    assert strict.sessions() == []


def test_reading_all_sessions_makes_none_of_them_look_used(strict):
    """A full table gives up idle sessions before used ones, however often somebody looked at all of them."""
    table, now = SessionTable.TCP4, strict.kernel.jiffies()
    capacity = strict.kernel.sessions.capacities()[table]
    used, idle = range(1, capacity // 2), range(capacity // 2, capacity - 200)
    for port in (*used, *idle):
        put(strict, table, protocol=TCP, state=2, last_seen=now, port=port)
    for port in used:
        assert strict.ingress(packet(table, TCP, port))
    for _ in range(5):
        Sweep(strict.kernel).step(0, 1000)
    for port in range(10_000, 10_000 + len(idle) // 2):
        put(strict, table, protocol=TCP, state=2, last_seen=now, port=port)
    left = {s.remote_port for s in strict.sessions()}
    assert len(left & set(used)) > 0.99 * len(used)  # the kernel's LRU is approximate
    assert len(left & set(idle)) < 0.7 * len(idle)


def test_half_open_flows_of_all_protocols_are_swept_by_their_own_times(strict):
    strict.expire_after(opening=LIMIT, asked=2 * LIMIT)
    old = strict.kernel.jiffies() - LIMIT - 10
    put(strict, SessionTable.HALF4, protocol=TCP, state=0, last_seen=old)
    put(strict, SessionTable.HALF4, protocol=UDP, state=0, last_seen=old)
    Sweep(strict.kernel).step(0, 1000)
    assert [s.protocol for s in strict.sessions()] == [UDP]
    assert strict.ingress(tcp_packet(PEER, 9, US, 80, SYN))
