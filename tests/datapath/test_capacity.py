"""A million sessions: they stay, they are found, they can be read and swept, and they take the memory that is said."""

from __future__ import annotations

import re
import struct
from pathlib import Path

import pytest
from builders import bundle, rule
from harness import Datapath
from packets import ACK, SYN, tcp_packet

from tcmicro_agent import abi
from tcmicro_agent.abi import Direction, Reason, SessionState, SessionTable
from tcmicro_agent.datapath.kernel import Kernel
from tcmicro_agent.sessions import Query
from tcmicro_agent.sweep import CHUNKS_A_STEP, Sweep
from tcmicro_agent.tuning import SESSION_BYTES, Limits, TcpMode, Tuning

MILLION = 1_000_000
NEEDED = 2 << 30
US, PEER = "10.0.0.1", "10.1.0.0"
ADDRESS, PORT = 28, 34  # last half of the peer's address, and its port, in a frame
TUNING = Tuning(capacity=MILLION, tcp=TcpMode.LOOSE, syn_source=Limits(0, 0))


def free_memory() -> int:
    found = re.search(r"MemAvailable:\s+(\d+) kB", Path("/proc/meminfo").read_text())
    return int(found.group(1)) * 1024 if found else 0


@pytest.fixture(scope="module")
def kernel(bpffs):
    if free_memory() < NEEDED:
        pytest.skip(f"{free_memory() >> 20} MiB of memory are free, a million sessions need 2 GiB")
    loaded = Kernel(bpffs / "tcmicro" / str(abi.ABI))
    loaded.load(Path(__file__).parents[2] / "build/tcmicro.bpf.o", TUNING.map_sizes(0))
    yield loaded
    loaded.close()
    loaded.unpin()


@pytest.fixture(scope="module")
def full(kernel):
    """One session from each of a million peers; each is taken over with its first packet, which loose mode allows."""
    made = Datapath(kernel)
    made.tune(TUNING)
    made.enforce(bundle(rule("p/http", "tcp/80")))
    frame = bytearray(packet(0))
    with kernel.programs.open("tcm_ingress") as opened:
        for number in range(MILLION):
            address(frame, number)
            opened.program.test_run(bytes(frame))
    return made


def address(frame: bytearray, number: int) -> None:
    struct.pack_into("!H", frame, ADDRESS, number >> 14)
    struct.pack_into("!H", frame, PORT, 1024 + (number & 0x3FFF))


def packet(number: int, flags: int = ACK) -> bytes:
    frame = bytearray(tcp_packet(PEER, 0, US, 80, flags))
    address(frame, number)
    return bytes(frame)


def memory(kernel: Kernel, table: SessionTable) -> int:
    """Bytes of kernel memory of a map, by its file descriptor."""
    text = Path(f"/proc/self/fdinfo/{kernel.map(table.map_name).fd}").read_text()
    return int(re.search(r"memlock:\s+(\d+)", text).group(1))


def test_a_million_sessions_are_there_and_cost_what_is_said(full, say):
    table = SessionTable.TCP4
    count, size = full.kernel.sessions.counts()[table], memory(full.kernel, table)
    every = sum(memory(full.kernel, each) for each in SessionTable)
    say(f"{count} sessions in {size >> 20} MiB, all tables {every >> 20} MiB")
    assert count >= 0.97 * MILLION
    assert size <= SESSION_BYTES * MILLION
    assert every <= 2.2 * SESSION_BYTES * MILLION


def test_sessions_of_a_full_table_are_hits(full):
    """Spread over all of it; what was evicted would be taken over anew, and so be no hit in strict mode."""
    full.tune(Tuning(tcp=TcpMode.STRICT))
    sample = range(0, MILLION, 997)
    before = full.counts()
    for number in sample:
        full.ingress(packet(number))
    after = full.counts() - before
    hits = sum(n for (_, _, reason), n in after.items() if reason is Reason.SESSION)
    assert hits >= 0.97 * len(sample)
    full.tune(TUNING)


def test_new_connections_are_made_beside_a_million(full):
    number = MILLION + 5
    for direction, frame in (
        (Direction.INGRESS, packet(number, SYN)),
        (Direction.EGRESS, tcp_packet(US, 80, "10.1.0.61", 1024 + (number & 0x3FFF), SYN | ACK)),
        (Direction.INGRESS, packet(number)),
    ):
        assert full.judges[direction](frame)
    assert full.reason(Direction.INGRESS, packet(number)) is Reason.SESSION


def test_a_million_sessions_are_read_and_searched(full):
    sessions = full.kernel.sessions
    keys = [chunk.key(n) for chunk in sessions.chunks(SessionTable.TCP4) for n in range(len(chunk))]
    assert len(set(keys)) == len(keys) >= 0.97 * MILLION
    wanted = Query(port=1024 + 77, state=SessionState.ESTABLISHED)
    found = sum(len(wanted.select(chunk)) for chunk in sessions.chunks())
    assert 0.9 * MILLION / 2**14 <= found <= MILLION / 2**14 + 1


def test_a_million_sessions_are_swept_in_steps(full):
    sessions, sweep = full.kernel.sessions, Sweep(full.kernel)
    before = sessions.counts()[SessionTable.TCP4]
    full.expire_after(established=0)
    steps = 0
    while sessions.counts()[SessionTable.TCP4]:
        sweep.step(steps, 1_000_000)
        steps += 1
        assert steps <= 2 + before // (CHUNKS_A_STEP * 4096 * 0.9)
    assert sweep.expired[SessionTable.TCP4] == before
