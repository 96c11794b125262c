"""A SYN flood of three times the capacity: whether it costs any established session its place."""

from __future__ import annotations

from pathlib import Path

from tcmicro_agent.abi import Direction, Reason
from tcmicro_agent.tuning import Limits, Tuning
from tests.bench.goals import Result
from tests.bench.loaded import CAPACITY, CYCLE, Loaded, loaded
from tests.bench.measure import MeasurementError, Spread
from tests.bench.policies import FIRST_PEER, PORT, STRANGERS, US, address, open_to_world
from tests.datapath.packets import ACK, SYN, tcp_packet

PEER_PORT = 1000
ESTABLISHED = CAPACITY * 9 // 10
FLOOD = 3 * CAPACITY
AT_A_TIME = 10_000  # handshakes under way: fewer than half-open flows are kept


def run(bpffs: Path, *, quick: bool) -> list[Result]:
    """A count, taken once, quick or not. Without a limit on SYN rates, so that all of the flood reaches the tables."""
    del quick
    tuning = Tuning(capacity=CAPACITY, syn_source=Limits(0, 0))
    with loaded(bpffs, "flood", CYCLE, tuning=tuning) as datapath:
        datapath.enforce(open_to_world())
        for first in range(0, ESTABLISHED, AT_A_TIME):
            _establish(datapath, address(FIRST_PEER, first), min(AT_A_TIME, ESTABLISHED - first))
        datapath.cycle(FLOOD, STRANGERS, in_turn=1, repeats=1)
        opened = _send(datapath, SYN, 2 * FLOOD, Reason.RULE_ALLOW)
        if opened < FLOOD:
            raise MeasurementError(f"only {opened} of {FLOOD} flood connections were opened")
        datapath.cycle(ESTABLISHED, FIRST_PEER, in_turn=1)
        lost = ESTABLISHED - _send(datapath, ACK, ESTABLISHED, Reason.SESSION)
    raw = {"established": ESTABLISHED, "flood": opened, "capacity": CAPACITY}
    return [Result("flood_established_lost", Spread(lost, lost, lost), raw)]


def _establish(datapath: Loaded, first: str, count: int) -> None:
    """By the three packets of the handshake, each for all of them in turn."""
    for flags in (SYN, SYN | ACK, ACK):
        datapath.cycle(count, first, in_turn=1)
        reason = Reason.RULE_ALLOW if flags == SYN else Reason.SESSION
        passed = _send(datapath, flags, count, reason)
        if passed != count:
            raise MeasurementError(f"{passed} of {count} handshakes got past flags {flags:#x}")


def _send(datapath: Loaded, flags: int, count: int, reason: Reason) -> int:
    """Sends packets of peers, or for SYN+ACK of ours; how many of them were counted for that reason."""
    answer = flags == SYN | ACK
    direction = Direction.EGRESS if answer else Direction.INGRESS
    ours, theirs = (US, PORT), (STRANGERS, PEER_PORT)
    source, target = (ours, theirs) if answer else (theirs, ours)
    before = datapath.counted(reason, direction=direction)
    program = datapath.program(f"tcm_{direction.name.lower()}")
    program.test_run(tcp_packet(*source, *target, flags), repeat=count)
    datapath.drain_events()
    return datapath.counted(reason, direction=direction) - before
