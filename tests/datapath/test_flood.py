"""SYN rates: who is an offender and from when on, what is dropped of it, and who is never blamed."""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator
from dataclasses import replace
from ipaddress import ip_address, ip_network

import flooding
import pytest
from builders import bundle, rule
from harness import Datapath
from left_out import SEARCH
from packets import ACK, SYN, tcp_packet, udp_packet
from world import PEER, PEER6, US, US6, World, connection, talks, tcp

from tcmicro_agent import abi
from tcmicro_agent.abi import Bank, Direction, Reason
from tcmicro_agent.config import Failsafe
from tcmicro_agent.datapath import batches, hooks, rates
from tcmicro_agent.policy.model import Action, Mode, Protocol
from tcmicro_agent.policy.model import Direction as Way

IN, OUT = Direction.INGRESS, Direction.EGRESS
ON, OFF = 5, 3
PORT = 8000
OPEN = bundle(rule("p/any", f"tcp/{PORT} udp/{PORT} tcp/22"))
MASK64 = (1 << 64) - 1


class Family:
    """Addresses of one family: every test takes source networks nobody used before, so buckets start empty."""

    def __init__(self, version: int) -> None:
        self.version = version
        self.us = "10.0.0.1" if version == 4 else "fd00::1"

    def source(self, network: int, host: int = 1) -> str:
        """A host of that /24 or /64."""
        if self.version == 4:
            return f"{20 + (network >> 16)}.{network >> 8 & 255}.{network & 255}.{host}"
        return f"fd20:{network >> 16:x}:{network & 0xFFFF:x}::{host:x}"


@pytest.fixture(params=[4, 6], ids=["ipv4", "ipv6"])
def family(request) -> Family:
    return Family(request.param)


@pytest.fixture
def exposed(datapath):
    """A port open to the world, with an offender from ON connections on; every bucket empty."""
    forget_rates(datapath)
    datapath.limit_syns(source=(ON, OFF))
    datapath.enforce(OPEN)
    return datapath


def forget_rates(datapath) -> None:
    for name in ("tcm_syn_sources", "tcm_syn_listeners"):
        table = datapath.kernel.map(name)
        keys = b"".join(map(abi.U32.pack, range(abi.RATES)))
        batches.put(table, keys, bytes(abi.RATE.size * abi.RATES))


def call(datapath, family, source: str, *, times: int = 1, first: int = 1000) -> list[bool]:
    """New connections from a source: whether each passes."""
    return [datapath.ingress(tcp_packet(source, first + n, family.us, PORT)) for n in range(times)]


def make_offender(datapath, family, network: int) -> str:
    source = family.source(network)
    assert call(datapath, family, source, times=ON, first=60_000) == [True] * (ON - 1) + [False]
    return source


def tag_and_bucket(address: str) -> tuple[int, int]:
    """Where the kernel keeps the source network of an address: splitmix64 of the network as the CPU reads it."""
    packed = ip_address(address).packed
    network = packed[:3] + b"\0" if len(packed) == 4 else packed[:8]
    x = int.from_bytes(network, sys.byteorder)
    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9 & MASK64
    x = (x ^ x >> 27) * 0x94D049BB133111EB & MASK64
    x ^= x >> 31
    return x >> 32, x & (abi.RATES - 1)


def rate(datapath, address: str) -> tuple[int, int, int, int]:
    tag, bucket = tag_and_bucket(address)
    found = abi.RATE.unpack(datapath.kernel.map("tcm_syn_sources").get(abi.U32.pack(bucket)))
    assert found[0] == tag
    return found


def let_pass(datapath, address: str, *, windows: int, syns: int) -> None:
    """As if windows had gone by since, and so many SYNs had come in the last one."""
    _, bucket = tag_and_bucket(address)
    tag, window, _, over = rate(datapath, address)
    table = datapath.kernel.map("tcm_syn_sources")
    table.put(abi.U32.pack(bucket), abi.RATE.pack(tag, window - windows, syns, over))


def colliding(family: Family, address: str, count: int) -> Iterator[str]:
    """Other networks that share the bucket of an address."""
    wanted = tag_and_bucket(address)[1]
    network = 1 << 16
    while count:
        network += 1
        if tag_and_bucket(family.source(network))[1] == wanted:
            count -= 1
            yield family.source(network)


def test_an_offender_is_one_from_its_nth_connection_on(exposed, family):
    make_offender(exposed, family, 1)
    packet = tcp_packet(family.source(1), 7, family.us, PORT)
    assert exposed.reason(IN, packet) is Reason.SYN_FLOOD
    assert len(rates.flood(exposed.kernel).sources) == 1


def test_a_repeated_syn_is_no_new_connection(exposed, family):
    source = family.source(1)
    assert all(exposed.ingress(tcp_packet(source, 1000, family.us, PORT)) for _ in range(3 * ON))
    assert rate(exposed, source)[2] == 1


def test_offenders_network_is_blamed_and_no_other(exposed, family):
    make_offender(exposed, family, 1)
    assert call(exposed, family, family.source(1, host=99)) == [False]
    assert call(exposed, family, family.source(2)) == [True]


def test_only_new_connections_of_the_offender_are_dropped(exposed, family):
    source, us = family.source(1), family.us
    exposed.ingress(tcp_packet(source, 500, us, PORT))
    exposed.egress(tcp_packet(us, PORT, source, 500, SYN | ACK))
    exposed.ingress(tcp_packet(source, 500, us, PORT, ACK))
    call(exposed, family, source, times=ON)
    assert exposed.reason(IN, tcp_packet(source, 501, us, PORT)) is Reason.SYN_FLOOD
    assert exposed.reason(IN, tcp_packet(source, 500, us, PORT, ACK)) is Reason.SESSION
    assert exposed.reason(OUT, tcp_packet(us, PORT, source, 500, ACK)) is Reason.SESSION
    assert exposed.reason(IN, udp_packet(source, 1, us, PORT)) is Reason.RULE_ALLOW


def test_whom_policy_knows_is_no_offender(exposed, family):
    known = family.source(3)
    exposed.enforce(bundle(rule("p/any", f"tcp/{PORT}"), endpoints={known: 1}))
    assert all(call(exposed, family, known, times=4 * ON))
    assert not all(call(exposed, family, family.source(3, host=2), times=4 * ON))
    assert all(call(exposed, family, known, times=4 * ON, first=2000))


def test_failsafe_outranks_the_flood(exposed, family):
    source = make_offender(exposed, family, 1)
    network = ip_network(source)
    ssh = Failsafe(Way.INGRESS, Protocol.TCP, 22, network)
    exposed.kernel.set_failsafe(frozenset({ssh.key()}))
    assert exposed.reason(IN, tcp_packet(source, 1, family.us, 22)) is Reason.FAILSAFE
    assert exposed.reason(IN, tcp_packet(source, 1, family.us, PORT)) is Reason.SYN_FLOOD


def test_monitor_only_counts(exposed, family):
    exposed.enforce(replace(OPEN, mode=Mode.MONITOR))
    source = family.source(1)
    assert all(call(exposed, family, source, times=3 * ON))
    packet = tcp_packet(source, 7, family.us, PORT)
    assert exposed.reason(IN, packet, Bank.AUDITED) is Reason.SYN_FLOOD


@pytest.mark.parametrize(
    ("windows", "syns", "refused"),
    [(1, ON, True), (1, OFF, True), (1, OFF - 1, False), (2, ON, False)],
    ids=["still-over", "at-off", "below-off", "a-window-of-silence"],
)
def test_an_offender_is_one_until_a_whole_window_below_off(exposed, family, windows, syns, refused):
    source = make_offender(exposed, family, 1)
    let_pass(exposed, source, windows=windows, syns=syns)
    assert bool(rates.flood(exposed.kernel).sources) is refused
    assert call(exposed, family, source) == [not refused]
    assert bool(rates.flood(exposed.kernel).sources) is refused


def test_no_detection_without_a_limit(exposed, family):
    exposed.limit_syns(source=(0, 0))
    assert all(call(exposed, family, family.source(1), times=100))
    assert rates.flood(exposed.kernel) == rates.Flood([], [])


def test_random_sources_blame_nobody(exposed, family):
    bystander = family.source(0)
    for network in range(1, 4001):
        exposed.ingress(tcp_packet(family.source(network), 1, family.us, PORT))
        if network % 1000 == 0:
            assert call(exposed, family, bystander, first=network) == [True]
    assert rates.flood(exposed.kernel).sources == []


@SEARCH
def test_a_bucket_of_many_is_held_by_no_bystander(exposed, family):
    bystander = family.source(0)
    others = list(colliding(family, bystander, 3))
    for port in range(1, 30):
        call(exposed, family, others[port % 3], first=port)
        if port % (30 // ON) == 0:
            assert call(exposed, family, bystander, first=port) == [True]
    assert rates.flood(exposed.kernel).sources == []


@SEARCH
def test_an_offender_in_the_same_bucket_does_not_make_one_of_a_bystander(exposed, family):
    bystander = family.source(0)
    [offender] = colliding(family, bystander, 1)
    call(exposed, family, offender, times=ON)
    assert all(call(exposed, family, bystander, times=4 * ON))
    assert call(exposed, family, offender, first=9) == [False]


@pytest.fixture(scope="module")
def world():
    made = World()
    made.serve(made.us, PORT)
    for space, host in ((made.us, 1), (made.peer, 2)):
        space.ip("addr", "add", f"10.8.0.{host}/24", "dev", "eth0")
        space.ip("addr", "add", f"fd08::{host}/64", "nodad", "dev", "eth0")
    yield made
    made.close()


@pytest.fixture
def attached(kernel, world):
    """The programs on the interface of `us`, an offender from 50 connections on."""
    interface = hooks.Interface("eth0", world.us.inside(socket.if_nametoindex, "eth0"))
    world.us.inside(kernel.attach, "clsact", interface)
    made = Datapath(kernel)
    forget_rates(made)
    made.limit_syns(source=(50, 25), listener=(50, 25))
    made.enforce(bundle(rule("p/any", f"tcp/{PORT} icmp"), egress=Action.ALLOW))
    yield made
    world.us.inside(kernel.detach, interface)


@pytest.mark.parametrize(
    ("us", "offender", "spoofed", "bystander"),
    [(US, PEER, "10.9.0.{}", "10.8.0.2"), (US6, PEER6, "fd09::{}", "fd08::2")],
    ids=["ipv4", "ipv6"],
)
def test_a_flood_of_real_syns(attached, world, us, offender, spoofed, bystander):
    """300 connections opened from one network: its live one goes on, another network calls as before."""
    refused = abi.counter_index(IN, Reason.SYN_FLOOD, Bank.ENFORCED)
    before = attached.kernel.counters()[refused][0]
    with connection(world.peer, us, PORT, source=offender) as client:
        assert talks(client)
        flooding.call(
            world.peer, us, [(spoofed.format(50 + n % 40), 2000 + n, PORT) for n in range(300)]
        )
        assert attached.kernel.counters()[refused][0] - before == 300 - 48  # our own was the first
        assert talks(client)
        assert not tcp(world.peer, us, PORT, source=offender)
        assert tcp(world.peer, us, PORT, source=bystander)
        assert talks(client)
    flood = rates.flood(attached.kernel)
    assert [found.bucket for found in flood.listeners] == [PORT]
    assert len(flood.sources) == 1


def test_a_listener_is_reported_whoever_calls_and_nothing_is_dropped(exposed, family):
    exposed.limit_syns(source=(0, 0), listener=(ON, OFF))
    known = family.source(3)
    exposed.enforce(bundle(rule("p/any", "tcp"), endpoints={known: 1}))
    for n in range(ON - 1):
        assert call(exposed, family, family.source(n + 10)) == [True]
    assert rates.flood(exposed.kernel).listeners == []
    assert call(exposed, family, known) == [True]
    assert rates.flood(exposed.kernel).listeners == [rates.Rate(PORT, ON)]
    assert exposed.ingress(tcp_packet(known, 1, family.us, PORT + 1))
    assert [found.bucket for found in rates.flood(exposed.kernel).listeners] == [PORT]


def test_a_listener_without_a_limit_is_not_reported(exposed, family):
    call(exposed, family, family.source(1), times=ON)
    assert rates.flood(exposed.kernel).listeners == []
    bucket = exposed.kernel.map("tcm_syn_listeners").get(abi.U32.pack(PORT))
    assert abi.RATE.unpack(bucket)[-1] == 0


def test_refused_connections_do_not_count(exposed, family):
    exposed.limit_syns(source=(ON, OFF), listener=(ON, OFF))
    exposed.enforce(bundle())
    for port in range(100):
        packet = tcp_packet(family.source(1), port, family.us, PORT)
        assert exposed.reason(IN, packet) is Reason.DEFAULT_DENY
    assert rates.flood(exposed.kernel) == rates.Flood([], [])
