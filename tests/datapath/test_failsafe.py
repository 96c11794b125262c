"""The failsafe is searched only for services of a class it has entries of, and never missed for that."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from ipaddress import ip_address, ip_network

import pytest
from builders import bundle
from packets import echo, first_packet, tcp_packet
from seeds import base_seed, scaled

from tcmicro_agent import abi
from tcmicro_agent.abi import Direction, Reason
from tcmicro_agent.config import Failsafe
from tcmicro_agent.datapath import failsafe
from tcmicro_agent.datapath.libbpf import Map
from tcmicro_agent.policy.model import Direction as Way
from tcmicro_agent.policy.model import Protocol

US, PEER = "10.0.0.1", "10.9.9.9"
IN = Direction.INGRESS
ZERO = abi.U32.pack(0)
SAMPLES = 300
SSH = Failsafe(Way.INGRESS, Protocol.TCP, 22, ip_network(f"{PEER}/32"))
KNOCK = tcp_packet(PEER, 40000, US, 22)


def key(way: Direction, protocol: int, port: int) -> bytes:
    return abi.FAILSAFE_KEY.pack(32, way, protocol, port.to_bytes(2, "big"), bytes(16))


def leg(way: Direction, protocol: int, port: int) -> bytes:
    """A packet of the peer that only this service of ours, or of the peer, explains."""
    ports = (40000, port) if way is IN else (port, 40000)
    return first_packet(ip_address(PEER), ip_address(US), protocol, *ports)


def test_every_entry_is_found_by_itself_and_among_others(datapath, say):
    seed = base_seed()
    say(f"TCM_SEED={seed}")
    pick = random.Random(seed)
    services = [
        (pick.choice(list(Direction)), pick.choice((6, 17, 132)), pick.randrange(1, 40000))
        for _ in range(scaled(SAMPLES))
    ]
    datapath.enforce(bundle())
    for service in services:
        assert datapath.reason(IN, leg(*service)) is Reason.DEFAULT_DENY
        datapath.kernel.set_failsafe(frozenset({key(*service)}))
        assert datapath.reason(IN, leg(*service)) is Reason.FAILSAFE, service
        datapath.kernel.set_failsafe(frozenset())
    datapath.kernel.set_failsafe(frozenset(key(*service) for service in services))
    assert all(datapath.reason(IN, leg(*service)) is Reason.FAILSAFE for service in services)


def test_a_ping_is_found_without_a_port(datapath):
    datapath.enforce(bundle())
    datapath.kernel.set_failsafe(frozenset({key(IN, 1, 0)}))
    assert datapath.reason(IN, echo(PEER, US, 7)) is Reason.FAILSAFE


def test_entries_are_found_while_nobody_has_said_which_there_are(datapath):
    datapath.enforce(bundle())
    kernel = datapath.kernel
    kernel.map("tcm_no_failsafe").put(ZERO, bytes(abi.NO_FAILSAFE.size))
    kernel.map("tcm_failsafe").put(SSH.key(), abi.U32.pack(1))
    assert datapath.reason(IN, KNOCK) is Reason.FAILSAFE


def test_an_empty_failsafe_is_not_searched(datapath):
    datapath.enforce(bundle())
    datapath.kernel.set_failsafe(frozenset())
    datapath.kernel.map("tcm_failsafe").put(SSH.key(), abi.U32.pack(1))
    assert datapath.reason(IN, KNOCK) is Reason.DEFAULT_DENY
    datapath.kernel.set_failsafe(frozenset({SSH.key()}))  # nothing to add, and yet put right
    assert datapath.reason(IN, KNOCK) is Reason.FAILSAFE


class Interrupted:
    """The map of the failsafe; somebody else acts after it has been read for the `turn`th time."""

    def __init__(self, table: Map, turn: int, act: Callable[[], object]) -> None:
        self.table, self.turn, self.act = table, turn, act
        self.put, self.delete = table.put, table.delete

    def __iter__(self) -> Iterator[bytes]:
        found = list(self.table)
        self.turn -= 1
        if self.turn == 0:
            self.act()
        return iter(found)


@pytest.mark.parametrize("turn", [1, 2, 3])
def test_what_another_writer_adds_meanwhile_is_found(datapath, turn):
    datapath.enforce(bundle())
    kernel = datapath.kernel
    keys = Interrupted(
        kernel.map("tcm_failsafe"), turn, lambda: kernel.set_failsafe(frozenset({SSH.key()}))
    )
    failsafe.replace(keys, kernel.map("tcm_no_failsafe"), frozenset())
    assert datapath.kernel.failsafe() == {SSH.key()}
    assert datapath.reason(IN, KNOCK) is Reason.FAILSAFE
