"""Round trips are read from what the kernel says of each connection, and counted once a sample."""

from __future__ import annotations

import socket
import struct

import pytest

from tcmicro_agent.datapath import tcp_info
from tcmicro_agent.errors import KernelError
from tcmicro_agent.latency import Latency

HOST, PEER = bytes([10, 0, 0, 1]), bytes([10, 0, 0, 2])
HOST6, PEER6 = bytes([0xFD, *bytes(14), 1]), bytes([0xFD, *bytes(14), 2])
MAPPED = bytes(10) + b"\xff\xff"


def message(local, remote, round_trip, sent_ms=5, acked_ms=5, family=socket.AF_INET):
    """A struct inet_diag_msg with an attribute before the one that counts."""
    head = struct.pack("=BBBB", family, 1, 0, 0)
    addresses = local.ljust(16, b"\0") + remote.ljust(16, b"\0")
    words = head + bytes(4) + addresses + bytes(12) + bytes(20)
    info = bytearray(104)
    struct.pack_into("=I", info, 44, sent_ms)
    struct.pack_into("=I", info, 56, acked_ms)
    struct.pack_into("=I", info, 68, round_trip)
    other = struct.pack("=HHB3x", 5, 8, 0)
    return words + other + struct.pack("=HH", 4 + len(info), 2) + bytes(info)


@pytest.mark.parametrize(
    ("said", "found"),
    [
        (message(HOST, PEER, 250), [250]),
        (message(HOST6, PEER6, 250, family=socket.AF_INET6), [250]),
        (message(MAPPED + HOST, MAPPED + PEER, 250, family=socket.AF_INET6), [250]),
        (message(HOST, PEER, 250, sent_ms=10_001), []),  # nothing new
        (message(HOST, PEER, 250, acked_ms=10_001), []),
        (message(HOST, PEER, 0), []),  # not measured yet
        (message(HOST, HOST, 250), []),
        (message(bytes([127, 0, 0, 1]), bytes([127, 0, 0, 2]), 250), []),
        (message(HOST6, bytes(15) + b"\1", 250, family=socket.AF_INET6), []),
        (message(MAPPED + HOST, MAPPED + bytes([127, 0, 0, 1]), 9, family=socket.AF_INET6), []),
        (message(HOST, PEER, 250)[:100], []),  # of a kernel that tells less
    ],
)
def test_connection_in_use_with_another_host_counts(said, found):
    assert tcp_info._round_trip(said, 10_000) == found


def test_connections_that_end_here_are_no_round_trips():
    asked = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, tcp_info.NETLINK_SOCK_DIAG)
    listener = socket.create_server(("127.0.0.1", 0))
    with asked, listener, socket.create_connection(listener.getsockname()) as client:
        own = client.getsockname()[1].to_bytes(2, "big")
        asked.send(tcp_info._request(socket.AF_INET))
        [ours] = [found for found in tcp_info._messages(asked) if found[4:6] == own]
    assert len(tcp_info._info(ours)) >= 72
    assert tcp_info._stays_here(ours)


def test_a_sample_is_the_lower_quartile_of_its_connections():
    said = iter([[9000, 100, 200, 5000, 300], [], [400]])
    latency = Latency(10, lambda _: next(said))
    assert latency.measure() == {"tcp_rtt_us": 200, "tcp_rtt_measured": 1}
    assert latency.measure() == {"tcp_rtt_us": 200, "tcp_rtt_measured": 1}
    assert latency.measure() == {"tcp_rtt_us": 600, "tcp_rtt_measured": 2}


def test_connections_count_that_were_in_use_since_the_last_sample():
    asked = []
    Latency(10, lambda within_ms: asked.append(within_ms) or []).measure()
    assert asked == [10_000]


@pytest.mark.parametrize("fault", [KernelError("no"), OSError("no")])
def test_kernel_that_does_not_tell_leaves_it_out(fault):
    def refuse(_):
        raise fault

    assert Latency(10, refuse).measure() == {}
