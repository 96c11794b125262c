"""Policies swapped under load: what all of them allow loses nothing, and no packet sees parts of two."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import count, cycle
from random import Random

import packets as p
import pytest
from builders import bundle, rule
from harness import Datapath, Judge
from left_out import TWO_CPUS
from load import Pings, load
from policies import QUIET
from seeds import base_seed, scaled
from tally import guarded
from world import PEER, PEER6, US, US6, World

from tcmicro_agent import abi, tables
from tcmicro_agent.abi import Bank, Direction, Reason
from tcmicro_agent.policy.model import Action, Bundle, Rule

SERVICE = 5432
SERVICES = f"tcp/{SERVICE} udp/{SERVICE} icmp"
FLIPS = 1000
HOSTS, NETWORKS = (f"{PEER}/32", f"{PEER6}/128"), ("10.9.0.0/24", "fd09::/64")


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    made = World()
    made.serve(made.us, SERVICE)
    yield made
    made.close()


@pytest.fixture
def quiet(kernel) -> Iterator[Datapath]:
    made = Datapath(kernel)
    made.tune(QUIET)
    yield made
    made.close()


# --- policies that agree about the traffic ---


def noise(name: str, random: Random) -> list[Rule]:
    """Rules that the traffic does not meet."""
    return [
        rule(
            f"{name}/{n}",
            f"tcp/{random.randrange(6000, 60000)} udp/{random.randrange(6000, 60000)}",
            random.choice((None, (8,), (9,))),
            action=random.choice(list(Action)),
        )
        for n in range(random.randrange(20))
    ]


def friendly(random: Random) -> Bundle:
    """Allows the traffic for one reason or another, and knows the peer under one number or another."""
    who = random.randrange(1, 7)
    why = random.choice(
        (
            [rule("p/service", SERVICES, (who,))],
            [rule("p/range", f"tcp/5000-6000 udp/{SERVICE}-65535 icmp", (who,))],
            [rule("p/peer", "any", (who,))],
            [rule("p/all", "any")],
            [],
        )
    )
    places = random.choice((HOSTS, NETWORKS, ("0.0.0.0/0", "::/0")))
    return bundle(
        *noise("before", random),
        *why,
        *noise("after", random),
        endpoints={**dict.fromkeys(places, who), "192.0.2.1": 8, "192.0.2.0/24": 9},
        ingress=random.choice(list(Action)) if why else Action.ALLOW,
        egress=random.choice(list(Action)),
    )


@TWO_CPUS
@pytest.mark.parametrize("hook", ["tcx", "clsact"])
def test_a_thousand_swaps_lose_nothing_that_all_policies_allow(
    quiet, world, bpffs, kernel, hook, say
):
    seed = base_seed()
    random, flips = Random(seed), scaled(FLIPS)
    say(f"TCM_SEED={seed}")
    quiet.enforce(friendly(random))
    with guarded(kernel, world, hook, bpffs):
        pings = [Pings(world.peer, address) for address in (US, US6)]
        with load(world, (US, US6), SERVICE, Random(seed)) as talks:
            policies = [friendly(random) for _ in range(20)]
            for _ in range(flips):
                quiet.enforce(random.choice(policies))
        sent = [each.stop() for each in pings]
    rounds = {talk.name: talk.rounds for talk in talks}
    say(f"{flips} flips, {sum(rounds.values())} questions, {sum(n for n, _ in sent)} pings")
    assert {talk.name: talk.faults for talk in talks if talk.faults} == {}
    assert all(asked == answered > 0 for asked, answered in sent), sent
    assert all(number > 1 for number in rounds.values()), rounds


# --- policies that disagree in everything, but on one port in both directions of a mix ---

ALWAYS, NEVER, FIRST_ONLY, SECOND_ONLY = 9, 10, 11, 12


def one_side(who: int, other: int, place: str, own: int) -> Bundle:
    """
    The peer is `who` here and `other` in the policy of the other side, one by host and one by network. Both sides allow
    ALWAYS and refuse NEVER; a view with the identity of one and the rules of the other does the opposite, and a
    view that misses one of its tables finds a stranger, who gets neither.
    """
    return bundle(
        rule("p/always", f"udp/{ALWAYS}", (who,)),
        rule("p/always-not", f"udp/{ALWAYS}", (other,), action=Action.DENY),
        rule("p/never", f"udp/{NEVER}", (other,)),
        rule("p/never-not", f"udp/{NEVER}", (who,), action=Action.DENY),
        rule("p/own", f"udp/{own}", (who,)),
        endpoints={place: who},
    )


SIDES = (one_side(1, 2, f"{PEER}/32", FIRST_ONLY), one_side(2, 1, "10.9.0.0/24", SECOND_ONLY))
RUNS, AT_ONCE, FEWEST_SWAPS = 2_000_000, 50_000, 20
ALLOWED = {Reason.RULE_ALLOW, Reason.SESSION}


class Repeated(threading.Thread):
    """Does something over and over while policies are swapped, until enough of both has happened."""

    def __init__(self, once: Callable[[], None]) -> None:
        super().__init__(daemon=True)
        self._once = once
        self._end = threading.Event()
        self.times = 0

    def run(self) -> None:
        while not self._end.is_set():
            self._once()
            self.times += 1

    def during_swaps(self, swap: Callable[[Bundle], None], times: int) -> int:
        """Swaps the sides, turn by turn; how many times, at least FEWEST_SWAPS."""
        self.start()
        try:
            for swaps, side in enumerate(cycle(SIDES[::-1])):
                if self.times >= times and swaps >= FEWEST_SWAPS:
                    return swaps
                assert self.is_alive(), "it ended early"
                swap(side)
        finally:
            self._end.set()
            self.join()
        raise AssertionError("unreachable")


def reasons_under_swaps(datapath: Datapath, port: int, runs: int, swap) -> tuple[Counter, str]:
    """How the kernel judged one packet over and over, asking nobody in between, while policies were swapped."""
    datapath.forget_sessions()
    datapath.enforce(SIDES[0])
    judge, packet = Judge(datapath.kernel, "tcm_ingress"), p.udp_packet(PEER, 4000, US, port)
    before, probes = datapath.counts(), Repeated(lambda: judge(packet, repeat=AT_ONCE))
    swaps = probes.during_swaps(swap, runs // AT_ONCE)
    judge.close()
    found = datapath.counts() - before
    assert found.total() == probes.times * AT_ONCE
    reasons = Counter({reason: number for (_, _, reason), number in found.items()})
    return reasons, f"{found.total()} verdicts, {swaps} swaps"


@TWO_CPUS
@pytest.mark.parametrize(
    ("port", "expected"), [(ALWAYS, ALLOWED), (NEVER, {Reason.RULE_DENY})], ids=["always", "never"]
)
def test_no_packet_sees_parts_of_two_policies(quiet, port, expected, say):
    found, told = reasons_under_swaps(quiet, port, scaled(RUNS), quiet.enforce)
    say(told)
    assert set(found) <= expected, found


@TWO_CPUS
@pytest.mark.parametrize("port", [ALWAYS, NEVER])
def test_these_probes_see_a_policy_that_is_rewritten_where_it_rules(quiet, port):
    """So the test above can fail: the same swap in the live slot shows its seams."""

    def rewrite(side: Bundle) -> None:
        slot = quiet.kernel.control().word.active
        built = tables.encode(
            side, slot=slot, generation=slot + 1, mode=side.mode, numbers=quiet.numbers
        )
        for name, entries in built.entries.items():
            for key, value in entries:
                quiet.kernel.map(name).put(key, value)
        quiet.kernel.map("tcm_slots").put(abi.U32.pack(slot), built.header.encode())

    wrong = {Reason.RULE_DENY, Reason.DEFAULT_DENY, Reason.REVOKED} if port == ALWAYS else ALLOWED
    for _ in range(20):
        found, _ = reasons_under_swaps(quiet, port, AT_ONCE * 4, rewrite)
        if wrong & set(found):
            return
    pytest.fail(f"{found}: the probes do not see what they look for")


PORTS = range(ALWAYS, SECOND_ONLY + 1)
ROUNDS = 5000


@pytest.mark.parametrize("hook", ["tcx", "clsact"])
def test_every_packet_on_the_wire_is_judged_by_one_policy(quiet, world, bpffs, kernel, hook, say):
    """New flows, each packet another: what one side alone allows passes sometimes, the rest always or never."""
    quiet.enforce(SIDES[0])
    clients = count(1024)
    with guarded(kernel, world, hook, bpffs) as sides, world.peer.wire() as wire:

        def one_to_each_port() -> None:
            client = next(clients) % 60_000 + 1024
            for port in PORTS:
                wire.send(p.udp_packet(PEER, client, US, port))

        before, sender = quiet.counts(), Repeated(one_to_each_port)
        swaps = sender.during_swaps(quiet.enforce, scaled(ROUNDS))
        found = quiet.counts() - before
        came, went = (
            {port: tallies[Direction.INGRESS].udp(port) for port in PORTS}
            for tallies in (sides.front, sides.behind)
        )
    say(f"{sender.times} of each, {swaps} swaps, {went}")
    assert set(came.values()) == {sender.times}
    assert (went[ALWAYS], went[NEVER]) == (sender.times, 0)
    assert 0 < went[FIRST_ONLY] < sender.times
    assert 0 < went[SECOND_ONLY] < sender.times
    assert found[Bank.ENFORCED, Direction.INGRESS, Reason.RULE_ALLOW] == sum(went.values())
    assert found[Bank.ENFORCED, Direction.INGRESS, Reason.RULE_DENY] == sender.times
