"""Selecting sessions out of raw chunks: what is asked for, what has expired."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest

from tcmicro_agent import abi
from tcmicro_agent.abi import Direction, SessionState, SessionTable
from tcmicro_agent.sessions import Chunk, Query, Timeouts, expired
from tcmicro_agent.tuning import Tuning

TCP, UDP = 6, 17
FLOWS = [  # remote, local port, remote port, protocol, state, last_seen
    ("10.0.0.2", 80, 1000, TCP, SessionState.ESTABLISHED, 900),
    ("10.0.0.3", 80, 1001, TCP, SessionState.CLOSED, 990),
    ("10.0.1.2", 1002, 443, TCP, SessionState.OPENING, 400),
    ("10.0.0.2", 1003, 53, UDP, SessionState.OPENING, 960),
]
FLOWS6 = [("fd00::2", 80, 1000, TCP, SessionState.ESTABLISHED, 900)]


def chunk(table: SessionTable, flows) -> Chunk:
    keys, values = b"", b""
    us = ip_address("fd00::1" if table.is_ipv6 else "10.0.0.1").packed
    for remote, local_port, remote_port, protocol, state, seen in flows:
        ports = local_port.to_bytes(2, "big"), remote_port.to_bytes(2, "big")
        keys += table.key.pack(us, ip_address(remote).packed, *ports, protocol)
        values += abi.SESSION.pack(1, 1, 0, Direction.INGRESS, state, 0, 0, seen, 1, 0, 60, 0)
    return Chunk(table, keys, values)


HALF4, HALF6 = chunk(SessionTable.HALF4, FLOWS), chunk(SessionTable.HALF6, FLOWS6)


@pytest.mark.parametrize(
    ("query", "found"),
    [
        (Query(), [0, 1, 2, 3]),
        (Query(peer=ip_network("10.0.0.2")), [0, 3]),
        (Query(peer=ip_network("10.0.0.0/24")), [0, 1, 3]),
        (Query(peer=ip_network("0.0.0.0/0")), [0, 1, 2, 3]),
        (Query(peer=ip_network("fd00::/16")), []),
        (Query(port=80), [0, 1]),
        (Query(port=443), [2]),
        (Query(protocol=UDP), [3]),
        (Query(state=SessionState.OPENING), [2, 3]),
        (Query(peer=ip_network("10.0.0.2"), protocol=TCP, port=80), [0]),
        (Query(peer=ip_network("10.0.0.2"), protocol=TCP, port=53), []),
    ],
    ids=str,
)
def test_query_selects_by_all_that_is_named(query, found):
    assert query.select(HALF4) == found


def test_query_by_peer_knows_its_family():
    assert Query(peer=ip_network("fd00::/16")).select(HALF6) == [0]
    assert Query(peer=ip_network("fd01::/16")).select(HALF6) == []
    assert Query(peer=ip_network("0.0.0.0/0")).select(HALF6) == []


def test_entries_of_a_chunk_are_decoded_one_by_one():
    assert [HALF4.session(n).remote_port for n in range(len(HALF4))] == [1000, 1001, 443, 53]
    assert str(HALF6.session(0).remote) == "fd00::2"


def test_timeouts_are_those_of_the_settings():
    settings = Tuning().settings(250, forwarding=0)
    found = Timeouts.decode(settings)
    assert found == Timeouts((7500, 7500, 1_800_000, 15_000, 2500), (7500, 45_000))


def test_expired_by_protocol_and_state():
    timeouts = Timeouts(tcp=(500, 500, 99, 500, 10), datagram=(39, 500))
    assert expired(HALF4, timeouts, 1000) == [0, 2, 3]
    assert expired(HALF4, Timeouts((600, 600, 100, 600, 10), (40, 40)), 1000) == []


def test_a_session_from_the_future_is_fresh_and_one_of_no_state_is_not():
    flows = [("10.0.0.2", 1, 1, TCP, 2, 1001), ("10.0.0.2", 2, 1, TCP, 9, 1001)]
    table = chunk(SessionTable.TCP4, flows)
    assert expired(table, Timeouts((0,) * 5, (0, 0)), 1000) == [1]


def test_an_empty_chunk_has_nothing():
    empty = Chunk(SessionTable.TCP4, b"", b"")
    assert (len(empty), expired(empty, Timeouts((0,) * 5, (0, 0)), 1), Query().select(empty)) == (
        0,
        [],
        [],
    )
