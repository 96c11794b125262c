"""Live traffic over veth on one CPU: every filter against none, the filters taking turns."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from tests.bench.goals import Result
from tests.bench.measure import (
    MeasurementError,
    Round,
    Variant,
    alternate,
    medians,
    net_ratio,
    ratio,
)
from tests.bench.world import REFUSED_PORT, Pair, World

AT_1K = ("none", "floor", "tcmicro_1k", "nft_set_1k", "nft_linear_1k", "iptables_1k")
FRAME = 1514  # 1,500 bytes behind an Ethernet header
Rounds = Mapping[str, Sequence[Round]]


@dataclass(frozen=True)
class Measure:
    """A kind of traffic: who takes part (empty: everybody), how many rounds, and one sample."""

    filters: tuple[str, ...]
    rounds: int
    sample: Callable[[Pair], float]


MEASURES = {
    "rr": Measure(AT_1K, 40, lambda pair: pair.traffic("rr", 4_000)[0]),
    "connect": Measure((), 30, lambda pair: pair.traffic("connect", 500)[0]),
    "udp": Measure(AT_1K, 40, lambda pair: _accepted(pair, 19_200)),
    "refused": Measure(AT_1K[2:], 40, lambda pair: _refused(pair, 6_400)),
    "tcp1500": Measure(AT_1K, 25, lambda pair: _stream(pair, 64)),
}


def run(bpffs: Path, *, quick: bool) -> list[Result]:
    with ExitStack() as stack:
        world = World(stack, bpffs)
        for name, reason in world.absent.items():
            print(f"not compared with {name}: {reason}")
        return results({name: _rounds(world, name, quick=quick) for name in MEASURES})


def _rounds(world: World, name: str, *, quick: bool) -> list[Round]:
    measure = MEASURES[name]
    filters = [f for f in measure.filters or world.pairs if f in world.pairs]
    variants = {f: _variant(world, world.pairs[f], measure) for f in filters}
    if (
        name == "refused"
    ):  # is held against what an accepted datagram costs, so that takes turns with it
        variants["none"] = _variant(world, world.pairs["none"], MEASURES["udp"])
    return alternate(variants, measure.rounds // 6 if quick else measure.rounds)


def _variant(world: World, pair: Pair, measure: Measure) -> Variant:
    def sample() -> float:
        world.drain_events()
        return measure.sample(pair)

    return sample


def _accepted(pair: Pair, count: int) -> float:
    """Nanoseconds per datagram of a flow that was answered."""
    ns, arrived = pair.traffic("udp", count)
    if arrived < 0.99 * count:
        raise MeasurementError(
            f"{pair.server.name}: {arrived:.0f} of {count} datagrams came through"
        )
    return ns


def _refused(pair: Pair, count: int) -> float:
    """Nanoseconds per datagram to a port that nobody may reach."""
    ns, arrived = pair.traffic("refused", count, port=REFUSED_PORT)
    if arrived:
        raise MeasurementError(f"{pair.server.name}: {arrived:.0f} refused datagrams came through")
    return ns


def _stream(pair: Pair, megabytes: int) -> float:
    """Bytes per second, in packets of 1,500 bytes."""
    bytes_before, packets_before = pair.received()
    rate = pair.traffic("stream", megabytes)[0]
    total, packets = pair.received()
    mean = (total - bytes_before) / (packets - packets_before)
    if not FRAME * 0.9 < mean <= FRAME:
        raise MeasurementError(f"{pair.server.name}: packets of {mean:.0f} bytes, not of {FRAME}")
    return rate


def results(rounds: Rounds) -> list[Result]:
    """The figures of all rounds by key. Pure."""
    raw = {name: medians(taken) for name, taken in rounds.items()}

    def over(key: str, measure: str, name: str, base: str) -> Result:
        return Result(key, ratio(rounds[measure], name, base), raw[measure])

    extra = net_ratio(rounds["rr"], "tcmicro_1k", "nft_set_1k", "none")
    return [
        over("rr_p50_over_nofilter", "rr", "tcmicro_1k", "none"),
        Result("rr_extra_over_nft_set_extra", extra, raw["rr"]),
        over("connect_p50_over_nofilter_1k", "connect", "tcmicro_1k", "none"),
        over("connect_p50_over_nofilter_10k", "connect", "tcmicro_10k", "none"),
        over("connect_p50_10k_over_10", "connect", "tcmicro_10k", "tcmicro_10"),
        over("connect_p50_10k_over_nft_linear_10k", "connect", "tcmicro_10k", "nft_linear_10k"),
        over("udp64_cpu_over_nofilter", "udp", "tcmicro_1k", "none"),
        over("refused_cpu_over_accepted_nofilter", "refused", "tcmicro_1k", "none"),
        over("tcp1500_over_nofilter", "tcp1500", "tcmicro_1k", "none"),
        over("tcp1500_over_nft_set", "tcp1500", "tcmicro_1k", "nft_set_1k"),
    ]
