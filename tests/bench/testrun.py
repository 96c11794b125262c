"""Nanoseconds per packet by BPF_PROG_TEST_RUN, against a program that only returns OK.

CPU time of this thread around the system call, and the least of a few calls, because whoever else runs on the machine
only adds: by taking the CPU, and by leaving cold caches behind. (The kernel's own figure is whole nanoseconds by the
wall.) Every sample looks at the counters afterwards: it counts only when every packet went the way it is named for.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from tcmicro_agent import abi
from tcmicro_agent.abi import Reason
from tcmicro_agent.datapath import batches, libbpf
from tcmicro_agent.tuning import Tuning
from tests.bench.goals import Result
from tests.bench.loaded import CYCLE, Loaded, floor_program, loaded
from tests.bench.measure import (
    MeasurementError,
    Round,
    Spread,
    Variant,
    alternate,
    medians,
    net_ratio,
    ratio,
)
from tests.bench.policies import (
    FIRST_PEER,
    PORT,
    STRANGERS,
    US,
    US6,
    Size,
    address,
    open_to_world,
    six_shapes,
    slot_tables,
)
from tests.datapath.packets import ACK, SYN, tcp_packet

PEER, PEER6 = address(FIRST_PEER, 0), "fd00::1"
PEER_PORT = 1000
UNNAMED_PORT = 9000  # no rule names it
MANY_SOURCES = 1 << 24
FLOWS_16K, FLOWS_131K = 1 << 14, 1 << 17
JUDGED = {
    "judge_10_10": Size(10),
    "judge_1k_10k": Size(1_000, 10),
    "judge_100k_100k": Size(100_000),
}
CALLS = 5  # a sample is made of
ALLOWED = 0xFFFFFFFF  # TC_ACT_UNSPEC


@dataclass(frozen=True)
class Packet:
    """One packet again and again, and the reason each of them must be counted for (None: must be allowed).

    `warm` packets go ahead unmeasured: the variant before this one has left its own data in the caches.
    """

    bytes: bytes
    reason: Reason | None
    repeat: int
    warm: int = 1_000


def run(bpffs: Path, *, quick: bool) -> list[Result]:
    count, repeat = (5, 100_000) if quick else (21, 300_000)
    with ExitStack() as stack:
        floor = stack.enter_context(floor_program(bpffs))
        packet = tcp_packet(PEER, PEER_PORT, US, PORT, ACK)
        variants = {"floor": lambda: _least(floor, packet, repeat)[0]}
        variants |= _hot(stack.enter_context(loaded(bpffs, "hot")), repeat)
        few = stack.enter_context(loaded(bpffs, "flows_16k", CYCLE))
        run_few = _flows(few, FLOWS_16K, repeat)
        variants |= {"flows_1": run_few(1), "flows_16k": run_few(FLOWS_16K)}
        many = stack.enter_context(loaded(bpffs, "flows_131k", CYCLE))
        variants["flows_131k"] = _flows(many, FLOWS_131K, repeat)(FLOWS_131K)
        variants |= _floods(
            stack.enter_context(loaded(bpffs, "refused", CYCLE)),
            stack.enter_context(loaded(bpffs, "let_in", CYCLE)),
            repeat,
        )
        for name, size in JUDGED.items():
            tuning = Tuning(capacity=1024, hosts=2 * size.hosts, rules=2 * size.entries)
            datapath = stack.enter_context(loaded(bpffs, name, CYCLE, tuning=tuning))
            variants[name] = _judge(datapath, size, repeat)
        return results(alternate(variants, count))


def results(rounds: Sequence[Round]) -> list[Result]:
    """The figures of all rounds by key. Pure."""
    raw = {f"{name}_ns": value for name, value in medians(rounds).items()}

    def result(key: str, value: Spread, *names: str) -> Result:
        return Result(key, value, {f"{n}_ns": raw[f"{n}_ns"] for n in (*names, "floor")})

    def over_floor(key: str, name: str) -> Result:
        return result(f"{key}_over_floor", ratio(rounds, name, "floor"), name)

    def growth(key: str, name: str) -> Result:
        value = net_ratio(rounds, name, "judge_10_10", "floor")
        return result(f"lookup_growth_{key}", value, name, "judge_10_10")

    v6 = net_ratio(rounds, "hit_v6", "hit_v4", "floor")
    few = ratio(rounds, "flows_16k", "flows_1")
    return [
        over_floor("hit_v4", "hit_v4"),
        result("hit_v6_net_over_v4_net", v6, "hit_v6", "hit_v4"),
        result("hit_16k_flows_over_1", few, "flows_16k", "flows_1"),
        over_floor("hit_131k_flows", "flows_131k"),
        over_floor("deny", "deny"),
        over_floor("denied_syn_flood", "denied_syn_flood"),
        over_floor("new_session_under_flood", "new_session_under_flood"),
        growth("1k_hosts", "judge_1k_10k"),
        growth("100k_100k", "judge_100k_100k"),
    ]


def _timed(datapath: Loaded, program: str, packet: Packet) -> Variant:
    """Nanoseconds per run."""
    opened = datapath.program(program)

    def sample() -> float:
        opened.test_run(packet.bytes, repeat=packet.warm)
        datapath.drain_events()
        before = datapath.counted(packet.reason) if packet.reason is not None else 0
        taken, verdict = _least(opened, packet.bytes, packet.repeat)
        if packet.reason is None:
            _check(program, packet.repeat * (verdict == ALLOWED), packet.repeat, "allowed")
        else:
            counted = datapath.counted(packet.reason) - before
            _check(program, counted, packet.repeat, packet.reason.name.lower())
        return taken

    return sample


def _least(program: libbpf.Program, packet: bytes, repeat: int) -> tuple[float, int]:
    """Nanoseconds per run in the fastest of the calls that make up `repeat` runs, and the last run's verdict."""
    each, taken, verdict = repeat // CALLS, [], 0
    for _ in range(CALLS):
        start = time.thread_time_ns()
        verdict, _ = program.test_run(packet, repeat=each)
        taken.append((time.thread_time_ns() - start) / each)
    return min(taken), verdict


def _check(program: str, counted: int, wanted: int, reason: str) -> None:
    if counted != wanted:
        raise MeasurementError(f"{program}: {counted} of {wanted} packets were {reason}")


def _hot(datapath: Loaded, repeat: int) -> dict[str, Variant]:
    """One tracked flow of each family, and one peer who asks for a port it may not have."""
    datapath.enforce(six_shapes((PEER, PEER6)))
    variants = {}
    for name, peer, us in (("hit_v4", PEER, US), ("hit_v6", PEER6, US6)):
        datapath.ingress(tcp_packet(peer, PEER_PORT, us, PORT, SYN))
        datapath.egress(tcp_packet(us, PORT, peer, PEER_PORT, SYN | ACK))
        datapath.ingress(tcp_packet(peer, PEER_PORT, us, PORT, ACK))
        hit = Packet(tcp_packet(peer, PEER_PORT, us, PORT, ACK), Reason.SESSION, repeat)
        variants[name] = _timed(datapath, "tcm_ingress", hit)
    denied = tcp_packet(PEER, PEER_PORT, US, UNNAMED_PORT, SYN)
    packet = Packet(denied, Reason.DEFAULT_DENY, repeat)
    return {**variants, "deny": _timed(datapath, "tcm_ingress", packet)}


def _flows(datapath: Loaded, tracked: int, repeat: int) -> Callable[[int], Variant]:
    """A table of so many tracked flows; what is returned makes a run that meets so many of them."""
    datapath.enforce(six_shapes((PEER,)))
    fill_sessions(datapath, tracked)
    hit = Packet(tcp_packet(PEER, PEER_PORT, US, PORT, ACK), Reason.SESSION, repeat, warm=tracked)
    run_hit = _timed(datapath, "tcm_ingress", hit)

    def meeting(count: int) -> Variant:
        def sample() -> float:
            datapath.cycle(count, FIRST_PEER)
            return run_hit()

        return sample

    return meeting


def fill_sessions(datapath: Loaded, count: int, *, table: str = "tcm_tcp4") -> None:
    """Established connections of peers from FIRST_PEER up to PORT, judged by the live generation."""
    now = datapath.kernel.jiffies()
    value = abi.SESSION.pack(
        datapath.generation, 1, 1, 0, abi.SessionState.ESTABLISHED, 0, 0, now, 2, 1, 200, 100
    )
    keys = [session_key(table, number) for number in range(count)]
    batches.put(datapath.kernel.map(table), b"".join(keys), value * count)
    held = sum(datapath.kernel.sessions.counts().values())
    if held != count:
        raise MeasurementError(f"{held} of {count} sessions are in {table}")


def session_key(table: str, number: int) -> bytes:
    ports = (PORT.to_bytes(2, "big"), PEER_PORT.to_bytes(2, "big"), 6)
    peer = (int.from_bytes(bytes(map(int, FIRST_PEER.split("."))), "big") + number).to_bytes(
        4, "big"
    )
    if table.endswith("4"):
        return abi.SESSION4_KEY.pack(bytes(map(int, US.split("."))), peer, *ports)
    return abi.SESSION6_KEY.pack(bytes(16), bytes(12) + peer, *ports)


def _floods(refused: Loaded, let_in: Loaded, repeat: int) -> dict[str, Variant]:
    """SYNs from 16M addresses nobody knows, at a closed and at an open port."""
    refused.enforce(six_shapes((PEER,)))
    let_in.enforce(open_to_world())
    for datapath in (refused, let_in):
        datapath.cycle(MANY_SOURCES, STRANGERS)
    syn = Packet(tcp_packet(STRANGERS, PEER_PORT, US, PORT, SYN), Reason.DEFAULT_DENY, repeat)
    allowed = replace(syn, reason=Reason.RULE_ALLOW)
    return {
        "denied_syn_flood": _timed(refused, "tcm_ingress", syn),
        "new_session_under_flood": _timed(let_in, "tcm_ingress", allowed),
    }


def _judge(datapath: Loaded, size: Size, repeat: int) -> Variant:
    """The verdict on a new flow of one of the policy's peers, at random."""
    datapath.install(slot_tables(size, slot=1, generation=1))
    datapath.cycle(size.hosts, FIRST_PEER)
    packet = Packet(tcp_packet(PEER, PEER_PORT, US, PORT, SYN), None, repeat, warm=size.hosts)
    return _timed(datapath, "bench_judge", packet)
