"""What becomes of decisions that are told: events out of the ring, sums of the others; nothing is lost uncounted."""

from __future__ import annotations

import os
import threading
from contextlib import closing
from ipaddress import ip_address

import pytest
from builders import bundle, rule
from harness import Datapath
from left_out import TWO_CPUS
from packets import SYN, TCP, echo, tcp_packet, udp_packet

from tcmicro_agent import abi
from tcmicro_agent.abi import Bank, Direction, Reason
from tcmicro_agent.datapath import events
from tcmicro_agent.datapath.libbpf import possible_cpus
from tcmicro_agent.events import Sum, Told, reason_bits
from tcmicro_agent.reconcile import Agent
from tcmicro_agent.store import Store
from tcmicro_agent.tuning import DECISIONS, Tuning
from tcmicro_agent.watch import sweep

US, PEER, STRANGER = "10.0.0.1", "10.0.0.2", "10.9.9.9"
IN = Direction.INGRESS
PLENTY = Tuning(event_rate=100_000, event_burst=100_000)
NO_MORE = Tuning(event_rate=0, event_burst=100_000)
DENIED = tcp_packet(STRANGER, 1000, US, 80)
ZERO = abi.U32.pack(0)


@pytest.fixture
def quiet(datapath):
    """A policy that refuses strangers; no event, no sum and no token there yet; all on one CPU."""
    home = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(home)})
    table = datapath.kernel.map("tcm_sums")
    for key in list(table):
        table.delete(key)
    datapath.enforce(bundle(rule("p/web", "tcp/80 icmp", (1,)), endpoints={PEER: 1}))
    give(datapath, 0)
    yield datapath
    os.sched_setaffinity(0, home)


@pytest.fixture
def ring(quiet):
    with closing(events.Ring(quiet.kernel)) as opened:
        while opened.take():
            pass
        yield opened


def give(datapath: Datapath, tokens: int) -> None:
    """So many events may be sent by each CPU, and no more are earned; nothing was told so far."""
    datapath.tune(NO_MORE)
    full = abi.BUDGET.pack(0, tokens * datapath.kernel.hz(), 0, 0, 0, b"", b"")
    datapath.kernel.map("tcm_budget").put(ZERO, full * possible_cpus())


def send(datapath: Datapath, packet: bytes, times: int) -> None:
    with datapath.kernel.programs.open("tcm_ingress") as opened:
        opened.program.test_run(packet, repeat=times)


def counted(datapath: Datapath, reason: Reason = Reason.DEFAULT_DENY) -> int:
    index = abi.counter_index(IN, reason, Bank.ENFORCED)
    return datapath.kernel.counters()[index][0]


def summed(datapath: Datapath) -> int:
    return sum(entry.packets for entry in events.sums(datapath.kernel))


def test_what_is_over_the_budget_is_summed(quiet, ring):
    before = counted(quiet)
    give(quiet, 3)
    send(quiet, DENIED, 1000)
    assert counted(quiet) - before == 1000
    assert events.told(quiet.kernel) == Told(sent=3, summed=997, unsummed=0)
    assert len(ring.take()) == 3
    [entry] = events.sums(quiet.kernel)
    assert entry == Sum(
        generation=quiet.generation,
        rule=quiet.numbers["default/ingress"],
        port=80,
        protocol=TCP,
        direction=IN,
        reason=Reason.DEFAULT_DENY,
        bank=Bank.ENFORCED,
        packets=997,
        octets=997 * len(DENIED),
    )


def test_what_a_full_ring_does_not_take_is_summed(quiet, ring):
    quiet.tune(PLENTY)
    send(quiet, DENIED, 20_000)
    told = events.told(quiet.kernel)
    assert 0 < told.sent < 20_000
    assert told == Told(sent=told.sent, summed=20_000 - told.sent, unsummed=0)
    assert summed(quiet) == told.summed
    taken = 0
    while batch := ring.take():
        taken += len(batch)
        assert len(batch) <= events.BATCH
    assert taken == told.sent
    send(quiet, DENIED, 1)
    assert len(ring.take()) == 1


def fill_sums(datapath: Datapath) -> None:
    table = datapath.kernel.map("tcm_sums")
    nothing = bytes(abi.COUNT.size) * possible_cpus()
    for number in range(8192):
        table.put(abi.SUM_KEY.pack(number + 1, 0, b"\0\0", 0, 0, 0, 0), nothing)


def test_what_the_sums_have_no_room_for_is_counted(quiet):
    fill_sums(quiet)
    send(quiet, DENIED, 10)
    assert events.told(quiet.kernel) == Told(sent=0, summed=0, unsummed=10)


def test_sums_in_turn_and_in_a_row_are_exact(quiet):
    other = tcp_packet(STRANGER, 1000, US, 81)
    for packet, times in [(DENIED, 1), (other, 1), (DENIED, 1), (other, 7), (DENIED, 50)]:
        send(quiet, packet, times)
    assert events.told(quiet.kernel) == Told(sent=0, summed=60, unsummed=0)
    found = {entry.port: (entry.packets, entry.octets) for entry in events.sums(quiet.kernel)}
    assert found == {80: (52, 52 * len(DENIED)), 81: (8, 8 * len(other))}


def test_what_is_held_of_a_forgotten_sum_comes_back_as_one(quiet):
    send(quiet, DENIED, 10)
    [entry] = events.sums(quiet.kernel)
    assert events.forget(quiet.kernel, [entry]) == 1
    send(quiet, DENIED, 5)
    [held] = events.sums(quiet.kernel)
    send(quiet, tcp_packet(STRANGER, 1000, US, 81), 1)
    found = {entry.port: entry.packets for entry in events.sums(quiet.kernel)}
    assert found == {80: held.packets, 81: 1}
    assert held.packets >= 5


def test_what_is_held_and_finds_no_room_is_counted(quiet):
    send(quiet, DENIED, 10)
    [entry] = events.sums(quiet.kernel)
    events.forget(quiet.kernel, [entry])
    fill_sums(quiet)
    send(quiet, tcp_packet(STRANGER, 1000, US, 81), 1)
    # the first went with the entry it was added to; nine were held, and the last found no room itself
    assert events.told(quiet.kernel) == Told(sent=0, summed=1, unsummed=10)
    assert summed(quiet) == 0


@TWO_CPUS
def test_every_decision_of_every_cpu_is_told_one_way(quiet, ring):
    """What was to be told = sent + summed + unsummed, and the sums add up to what was summed."""
    before = counted(quiet)
    give(quiet, 50)
    cpus = sorted(os.sched_getaffinity(1))

    def flood(cpu: int) -> None:
        os.sched_setaffinity(0, {cpu})
        for port in range(40):
            send(quiet, tcp_packet(STRANGER, 1, US, 1000 + port), 250)

    threads = [threading.Thread(target=flood, args=(cpu,)) for cpu in cpus]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    told = events.told(quiet.kernel)
    assert sum(vars(told).values()) == counted(quiet) - before == 10_000 * len(cpus)
    assert told.sent == 50 * len(cpus) == len(ring.take())
    assert summed(quiet) == told.summed
    assert told.unsummed == 0


def test_no_fraction_of_the_rate_is_lost(quiet, ring):
    """Whatever the tick: a rate that is no multiple of it is earned in full, never more."""
    kernel, hz = quiet.kernel, quiet.kernel.hz()
    rate, begin = hz * 4 // 5, quiet.kernel.jiffies()
    quiet.tune(Tuning(event_rate=rate, event_burst=1000))
    send(quiet, DENIED, 2000)
    drained, start = events.told(kernel).sent, kernel.jiffies()
    while kernel.jiffies() < start + hz // 2:
        send(quiet, DENIED, 1000)
        ring.take()
    send(quiet, DENIED, 1000)
    sent = events.told(kernel).sent - drained
    assert hz // 2 * rate // hz <= sent <= (kernel.jiffies() - begin) * rate // hz + 1


def test_pings_are_summed_whatever_their_identifier(quiet):
    for ident in range(50):
        send(quiet, echo(STRANGER, US, ident), 1)
    [entry] = events.sums(quiet.kernel)
    assert (entry.port, entry.packets) == (0, 50)


def test_time_of_an_event_is_that_of_its_packet(quiet, ring):
    quiet.tune(PLENTY)
    clock = Agent(quiet.kernel, Store()).clock
    before = clock.boot_ms()
    send(quiet, udp_packet(STRANGER, 53, US, 999), 1)
    [event] = ring.take()
    assert before <= event.time_ns // 1_000_000 <= clock.boot_ms()
    assert (event.local, event.remote) == (ip_address(US), ip_address(STRANGER))


def test_events_come_in_order(quiet, ring):
    quiet.tune(PLENTY)
    for port in (1, 2, 3):
        send(quiet, tcp_packet(PEER, 7, US, port, SYN), 1)
    assert [event.local_port for event in ring.take()] == [1, 2, 3]
    assert ring.take() == []


def test_telling_a_reason_changes_no_other_setting(quiet):
    table = quiet.kernel.map("tcm_settings")
    before = table.get(ZERO)
    assert events.told_reasons(quiet.kernel) == reason_bits(DECISIONS)
    events.tell_reasons(quiet.kernel, reason_bits([Reason.SESSION]))
    assert table.get(ZERO) == Tuning(
        event_reasons=(Reason.SESSION,), event_rate=0, event_burst=100_000
    ).settings(quiet.kernel.hz(), forwarding=0)
    events.tell_reasons(quiet.kernel, reason_bits(DECISIONS))
    assert table.get(ZERO) == before


def test_sums_of_generations_that_are_gone_are_forgotten(quiet, tmp_path):
    agent = Agent(quiet.kernel, Store(tmp_path))
    send(quiet, DENIED, 5)
    [first] = events.sums(quiet.kernel)
    assert sweep(agent) == 0
    for _ in range(2 * abi.SLOTS):
        quiet.enforce(bundle())
    send(quiet, DENIED, 7)
    held = {header.generation for header in quiet.kernel.headers()}
    assert first.generation not in held
    assert sweep(agent) == 1
    [left] = events.sums(quiet.kernel)
    assert (left.generation, left.packets) == (quiet.generation, 7)
    assert events.told(quiet.kernel).summed == 12


def test_a_scan_of_ports_leaves_room_for_other_sums(quiet, tmp_path):
    send(quiet, DENIED, 5)
    for port in range(1000, 9500):
        quiet.ingress(tcp_packet(STRANGER, 1, US, port))
    told = events.told(quiet.kernel)
    assert told.unsummed == 8505 - told.summed > 0
    assert sweep(Agent(quiet.kernel, Store(tmp_path))) == 4096
    left = events.sums(quiet.kernel)
    assert len(left) == 4096
    assert (left[0].port, left[0].packets) == (80, 5)
    send(quiet, udp_packet(STRANGER, 1, US, 9), 1)
    assert events.told(quiet.kernel).unsummed == told.unsummed
