"""Nothing is lost between counters: what came is what was counted, what was allowed is what went on, to the byte."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

import pytest
from builders import bundle, rule
from harness import Datapath
from mutations import frames, truncations, valid4, valid6
from policies import QUIET
from seeds import base_seed, scaled
from tally import Sides, guarded
from world import PEER, PEER6, STRANGER, US, US6, World, carries, connection, ping, tcp, udp

from tcmicro_agent import abi
from tcmicro_agent.abi import Direction, Reason
from tcmicro_agent.policy.model import Action, Mode
from tcmicro_agent.policy.model import Direction as Way

SERVICE, CLOSED, ELSEWHERE = 5432, 5433, 80
FRAMES = 500
EXPECTED = {
    Direction.INGRESS: {Reason.RULE_ALLOW, Reason.SESSION, Reason.DEFAULT_DENY, Reason.MALFORMED},
    Direction.EGRESS: {Reason.DEFAULT_ALLOW, Reason.SESSION, Reason.RULE_DENY, Reason.MALFORMED},
}


def policy(mode: Mode):
    return bundle(
        rule("p/no", f"udp/{CLOSED}", direction=Way.EGRESS, action=Action.DENY),
        rule("p/db", f"tcp/{SERVICE} udp/{SERVICE} icmp", (1,)),
        endpoints={f"{PEER}/32": 1, f"{PEER6}/128": 1},
        egress=Action.ALLOW,
        mode=mode,
    )


@dataclass(frozen=True)
class Books:
    """Packets and bytes per direction, by three bookkeepers that share nothing."""

    came: dict[Direction, tuple[int, int]]
    judged: dict[Direction, tuple[int, int]]
    allowed: dict[Direction, tuple[int, int]]
    went: dict[Direction, tuple[int, int]]
    reasons: dict[tuple[Direction, Reason], int]
    interface: dict[Direction, int]


class Bench:
    """Our programs on a real interface, with a tally in front and one behind, each way."""

    def __init__(self, datapath: Datapath, world: World, sides: Sides) -> None:
        self.datapath, self.world, self._sides = datapath, world, sides

    def read(self) -> Books:
        """Once nothing moves any more."""
        books = self._read()
        for _ in range(100):
            time.sleep(0.05)
            books, before = self._read(), books
            if books == before:
                return books
        raise AssertionError("traffic does not end")

    def _read(self) -> Books:
        counted = self.datapath.kernel.counters()
        judged, allowed, reasons = {}, {}, {}
        for way in Direction:
            places = [(reason, bank) for reason in Reason for bank in abi.Bank]
            found = {(r, b): counted[abi.counter_index(way, r, b)] for r, b in places}
            judged[way] = _sum(found.values())
            allowed[way] = _sum(v for (r, b), v in found.items() if not abi.dropped(r, b))
            reasons |= {(way, r): sum(found[r, b][0] for b in abi.Bank) for r in Reason}
        received, sent = self.world.us.frames()
        return Books(
            came={way: tally.total() for way, tally in self._sides.front.items()},
            judged=judged,
            allowed=allowed,
            went={way: tally.total() for way, tally in self._sides.behind.items()},
            reasons=reasons,
            interface={Direction.INGRESS: received, Direction.EGRESS: sent},
        )


def _sum(counts) -> tuple[int, int]:
    pairs = list(counts)
    return sum(packets for packets, _ in pairs), sum(size for _, size in pairs)


def gained(after: tuple[int, int], before: tuple[int, int]) -> tuple[int, int]:
    return after[0] - before[0], after[1] - before[1]


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    made = World()
    made.serve(made.us, SERVICE)
    made.serve(made.peer, ELSEWHERE)
    yield made
    made.close()


@pytest.fixture(params=["tcx", "clsact"])
def bench(request, kernel, world, bpffs) -> Iterator[Bench]:
    with guarded(kernel, world, request.param, bpffs) as sides:
        datapath = Datapath(kernel)
        datapath.tune(QUIET)
        yield Bench(datapath, world, sides)
        datapath.close()


def mixed_traffic(world: World, random: Random) -> None:
    """All there is, both ways: welcome, unwelcome, large, nonsense."""
    for address in (US, US6):
        with connection(world.peer, address, SERVICE) as client:
            client.settimeout(10)
            assert carries(client, random.randbytes(400_000))
        assert udp(world.peer, address, SERVICE)
        assert ping(world.peer, address)
    assert tcp(world.us, PEER, ELSEWHERE)
    tcp(world.peer, US, CLOSED)
    udp(world.peer, US, SERVICE, source=STRANGER)
    udp(world.us, PEER, CLOSED)
    udp(world.us, PEER6, CLOSED)
    nonsense = [*frames(random, scaled(FRAMES)), *truncations(valid4(random))]
    nonsense += truncations(valid6(random))
    for space in (world.us, world.peer):
        with space.wire() as wire:
            for frame in filter(reaches_tc, nonsense):
                # a frame that tc refuses on its way out is "no buffer space" to its sender
                with contextlib.suppress(OSError):
                    wire.send(frame.ljust(14, b"\0"))


def reaches_tc(frame: bytes) -> bool:
    """The kernel drops what ends right behind its VLAN tag before anybody sees it."""
    return frame[12:14] not in (b"\x81\x00", b"\x88\xa8") or len(frame) >= 20


@pytest.mark.parametrize("mode", Mode)
def test_what_came_was_judged_and_what_was_allowed_went_on(bench, mode, say):
    seed = base_seed()
    say(f"TCM_SEED={seed}")
    bench.datapath.enforce(policy(mode))
    before = bench.read()
    mixed_traffic(bench.world, Random(seed))
    after = bench.read()
    for way in Direction:
        came = gained(after.came[way], before.came[way])
        allowed = gained(after.allowed[way], before.allowed[way])
        went = gained(after.went[way], before.went[way])
        say(f"{way.name.lower()} {came[0]} came, {went[0]} went on")
        assert gained(after.judged[way], before.judged[way]) == came
        assert allowed == went
        on_wire = after.interface[way] - before.interface[way]
        assert on_wire == (came if way is Direction.INGRESS else went)[0]
        assert (went == came) == (mode is Mode.MONITOR)
        moved = {r for (w, r), n in after.reasons.items() if w is way and n > before.reasons[w, r]}
        assert EXPECTED[way] <= moved
