"""The staged policy in the kernel: compared on every new flow, judge of a share of them, promoted or forgotten."""

from __future__ import annotations

import os
import time
from collections import Counter
from ipaddress import ip_address, ip_network
from itertools import product
from threading import Barrier, Thread

import pytest
from builders import bundle, rule
from left_out import TWO_CPUS
from packets import ACK, SYN, echo, tcp_packet, udp_packet

from tcmicro_agent import abi, plan, staging, trial_report
from tcmicro_agent.abi import Bank, Direction, Reason, SessionFlag, TrialWord
from tcmicro_agent.config import Failsafe
from tcmicro_agent.datapath import trial
from tcmicro_agent.policy.evaluate import NewFlow, evaluate
from tcmicro_agent.policy.model import Action, Mode, Protocol
from tcmicro_agent.policy.model import Direction as Way
from tcmicro_agent.reconcile import Agent
from tcmicro_agent.store import Store, write_document
from tcmicro_agent.trial import Share

US = {4: "10.0.0.1", 6: "fd00::1"}
WEB = {4: "10.1.0.2", 6: "fd01::2"}
WORLD = {4: "192.0.2.9", 6: "2001:db8::9"}
KNOWN = {"10.1.0.0/16": 1, "fd01::/16": 1}
IN, OUT = Direction.INGRESS, Direction.EGRESS
FAMILIES = pytest.mark.parametrize("family", [4, 6])

SHUT = bundle(endpoints=KNOWN)
OPEN = bundle(rule("n/http", "tcp/80"), endpoints=KNOWN)
COMPARE, ALL = Share(), Share(100, 600)


@pytest.fixture
def agent(datapath, tmp_path) -> Agent:
    return Agent(datapath.kernel, Store(tmp_path))


def knock(family: int, sport: int = 1000, port: int = 80, flags: int = SYN) -> bytes:
    return tcp_packet(WEB[family], sport, US[family], port, flags)


def reply(family: int, sport: int = 1000, port: int = 80, flags: int = SYN | ACK) -> bytes:
    return tcp_packet(US[family], port, WEB[family], sport, flags)


def handshake(datapath, family: int, bank: Bank) -> None:
    assert datapath.reason(IN, knock(family), bank) is Reason.RULE_ALLOW
    assert datapath.reason(OUT, reply(family), bank) is Reason.SESSION
    assert datapath.reason(IN, knock(family, flags=ACK), bank) is Reason.SESSION


# --- comparing ---

LIVE = bundle(
    rule("p/http", "tcp/80"),
    rule("p/no-dns", "udp/53", (1,), direction=Way.EGRESS, action=Action.DENY),
    endpoints=KNOWN,
    egress=Action.ALLOW,
)
NEXT = bundle(
    rule("p/http", "tcp/80", (1,)),
    rule("n/ping", "icmp"),
    rule("n/dns", "udp/53", direction=Way.EGRESS),
    endpoints=KNOWN,
)


def mix() -> list[tuple[NewFlow, bytes]]:
    """First packets of every kind; `sport` is a new one each, so each is a flow of its own."""
    found = []
    for family, way, peer in product((4, 6), Way, (WEB, WORLD)):
        src, dst = (peer, US) if way is Way.INGRESS else (US, peer)
        pair = src[family], dst[family]
        for number in range(1, 4):
            sport = 2000 + len(found)
            there = ip_address(peer[family])
            found += [
                (NewFlow(way, there, 6, 80), tcp_packet(pair[0], sport, pair[1], 80)),
                (NewFlow(way, there, 17, 53), udp_packet(pair[0], sport, pair[1], 53)),
            ]
            if number > 1:
                found.append((NewFlow(way, there, 1), echo(*pair, sport)))
    return found


def said(policy, flow: NewFlow) -> tuple[str, str]:
    """Verdict and rule by the oracle."""
    found = evaluate(policy, flow)
    return found.action.value, found.rule or f"default/{flow.direction.value}"


def send(datapath, flows: list[tuple[NewFlow, bytes]]) -> int:
    """How many pass."""
    return sum(
        datapath.ingress(packet) if flow.direction is Way.INGRESS else datapath.egress(packet)
        for flow, packet in flows
    )


def test_every_new_flow_is_compared_and_every_difference_is_named(agent, datapath):
    flows = mix()
    agent.apply(LIVE)
    send(datapath, flows[:5])  # nothing is staged yet
    datapath.forget_sessions()
    staging.stage(agent, NEXT, COMPARE)
    passed = send(datapath, flows)
    assert passed == sum(said(LIVE, flow)[0] == "allow" for flow, _ in flows)
    found = trial_report.differences(agent, limit=100)
    names = {"allow": {"allow": "agree_allow", "deny": "allow_to_deny"}}
    names["deny"] = {"allow": "deny_to_allow", "deny": "agree_deny"}
    expected, kinds = Counter(), Counter()
    for flow, _ in flows:
        live, candidate = said(LIVE, flow), said(NEXT, flow)
        expected[flow.direction.value, names[live[0]][candidate[0]]] += 1
        if live[0] != candidate[0]:
            peer = "id1" if evaluate(LIVE, flow).identity else "world"
            kinds[flow.direction.value, flow.protocol, flow.port, peer, live, candidate] += 1
    assert len({name for _, name in expected}) == 4
    compared = found["staged"]["comparisons"]
    assert {(d, n): c for d, counts in compared.items() for n, c in counts.items() if c} == expected
    numbers = {"icmp": 1, "tcp": 6, "udp": 17}
    rows = {
        (
            row["direction"],
            numbers[row["protocol"]],
            row["port"],
            row["peer"],
            *((row[side]["verdict"], row[side]["rule"]) for side in ("live", "staged")),
        ): row["flows"]
        for row in found["differences"]
    }
    assert rows == kinds
    assert found["total"] == len(kinds)


def test_later_packets_of_a_flow_are_not_compared(agent, datapath):
    agent.apply(OPEN)
    staging.stage(agent, SHUT, COMPARE)
    handshake(datapath, 4, Bank.ENFORCED)
    [row] = trial_report.differences(agent, limit=9)["differences"]
    assert (row["flows"], row["bytes"]) == (1, len(knock(4)))


def test_pings_differ_as_one_kind_of_flow_not_by_identifier(agent, datapath):
    agent.apply(SHUT)
    staging.stage(agent, bundle(rule("n/ping", "icmp"), endpoints=KNOWN), COMPARE)
    for ident in range(1, 6):
        assert not datapath.ingress(echo(WEB[4], US[4], ident))
    [row] = trial_report.differences(agent, limit=9)["differences"]
    assert (row["protocol"], row["port"], row["flows"]) == ("icmp", 0, 5)


@TWO_CPUS
def test_no_difference_is_lost_between_processors(agent, datapath):
    agent.apply(SHUT)
    staging.stage(agent, OPEN, COMPARE)
    processors, each = sorted(os.sched_getaffinity(0))[:2], 200_000
    if len(processors) < 2:
        pytest.skip("needs two processors")
    together = Barrier(len(processors))

    def run(processor: int) -> None:
        os.sched_setaffinity(0, {processor})
        with datapath.kernel.programs.open("tcm_ingress") as opened:
            together.wait(10)
            opened.program.test_run(knock(4), repeat=each)

    threads = [Thread(target=run, args=(processor,)) for processor in processors]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = trial_report.differences(agent, limit=9)
    sent = each * len(processors)
    assert found["staged"]["comparisons"]["ingress"]["deny_to_allow"] == sent
    [row] = found["differences"]
    assert (row["flows"], row["bytes"]) == (sent, sent * len(knock(4)))


def test_another_live_policy_is_compared_from_zero(agent, datapath):
    agent.apply(SHUT)
    staging.stage(agent, OPEN, COMPARE)
    datapath.ingress(knock(4))
    agent.apply(bundle(rule("q/https", "tcp/443"), endpoints=KNOWN))
    found = trial_report.differences(agent, limit=9)
    assert (found["total"], found["staged"]["comparisons"]["ingress"]["deny_to_allow"]) == (0, 0)
    datapath.ingress(knock(4))
    assert trial_report.differences(agent, limit=9)["total"] == 1


# --- judging a share ---


@FAMILIES
def test_share_0_only_compares_and_share_100_judges_all(agent, datapath, family):
    agent.apply(SHUT)
    staging.stage(agent, OPEN, COMPARE)
    assert datapath.reason(IN, knock(family)) is Reason.DEFAULT_DENY
    staging.set_share(agent, ALL)
    handshake(datapath, family, Bank.TRIAL)
    staging.stage(agent, SHUT, ALL)
    agent.apply(OPEN)
    assert datapath.reason(IN, knock(family, 1001), Bank.TRIAL) is Reason.DEFAULT_DENY


@FAMILIES
@pytest.mark.parametrize("percent", [1, 20, 50])
def test_a_share_is_that_percentage_of_the_flows_and_always_the_same(
    agent, datapath, family, percent
):
    agent.apply(SHUT)
    flows = [knock(family, 1024 + n * 7) for n in range(4000)]

    def passing(share: int) -> set[int]:
        staging.stage(agent, OPEN, Share(share, 600))
        found = {n for n, packet in enumerate(flows) if datapath.ingress(packet)}
        datapath.forget_sessions()
        return found

    tried = passing(percent)
    assert abs(len(tried) / len(flows) - percent / 100) < 0.03
    assert len(tried) > 0
    assert passing(percent) == tried  # a SYN sent again meets the same policy
    assert tried < passing(percent + 30)  # and none is taken back when the share grows


@FAMILIES
def test_a_share_is_one_of_peers_too(agent, datapath, family):
    agent.apply(SHUT)
    staging.stage(agent, OPEN, Share(50, 600))
    network = ip_network("10.1.0.0/16" if family == 4 else "fd01::/112")
    peers = [str(network[n]) for n in range(1, 2001)]
    passed = sum(datapath.ingress(tcp_packet(peer, 1000, US[family], 80)) for peer in peers)
    assert abs(passed / len(peers) - 0.5) < 0.05


def test_the_kernel_ends_a_share_with_nobody_alive(agent, datapath):
    agent.apply(SHUT)
    staging.stage(agent, OPEN, COMPARE)
    slot = agent.observe().trial.slot
    word = TrialWord(slot, 100, agent.clock.boot_ms() + 300)
    trial.write_word(datapath.kernel, word)
    handshake(datapath, 4, Bank.TRIAL)
    while agent.clock.boot_ms() <= word.deadline_ms:
        time.sleep(0.01)
    assert datapath.reason(IN, knock(4, flags=ACK)) is Reason.REVOKED
    assert datapath.reason(IN, knock(4, 1001)) is Reason.DEFAULT_DENY
    assert trial.read_word(datapath.kernel) == word  # nobody wrote anything
    found = trial_report.staged(agent, agent.observe())
    assert (found["share"], found["comparisons"]["ingress"]["deny_to_allow"]) == (0, 2)


def test_every_packet_is_counted_once_in_one_bank(agent, datapath):
    agent.apply(LIVE)
    staging.stage(agent, NEXT, Share(50, 600))
    flows = mix()
    before = datapath.kernel.counters()
    passed = send(datapath, flows)
    sums = Counter()
    for bank, direction, reason in product(Bank, Direction, Reason):
        index = abi.counter_index(direction, reason, bank)
        sums[bank, abi.dropped(reason, bank)] += (
            datapath.kernel.counters()[index][0] - before[index][0]
        )
    assert sum(sums.values()) == len(flows)
    assert sums[Bank.ENFORCED, False] + sums[Bank.TRIAL, False] == passed
    assert min(sums[bank, drop] for bank in (Bank.ENFORCED, Bank.TRIAL) for drop in (0, 1)) > 0
    assert sums[Bank.AUDITED, False] == sums[Bank.AUDITED, True] == 0


def test_the_failsafe_wins_over_a_staged_policy_that_denies_all(agent, datapath):
    ssh = Failsafe(Way.INGRESS, Protocol.TCP, 22, ip_network("10.1.0.2/32"))
    datapath.kernel.set_failsafe(frozenset({ssh.key()}))
    agent.apply(bundle(ingress=Action.ALLOW))
    staging.stage(agent, SHUT, ALL)
    assert datapath.reason(IN, knock(4, port=22), Bank.TRIAL) is Reason.FAILSAFE
    assert datapath.reason(IN, knock(4, port=23), Bank.TRIAL) is Reason.DEFAULT_DENY


# --- monitor ---


@pytest.mark.parametrize("why", ["policy", "ceiling"])
def test_a_staged_policy_in_monitor_mode_only_audits(agent, datapath, why):
    agent.apply(OPEN)
    if why == "ceiling":
        write_document(agent.store.etc / "agent.json", {"mode": "monitor"})
    strict = bundle(endpoints=KNOWN, mode=Mode.MONITOR if why == "policy" else Mode.PROTECT)
    staging.stage(agent, strict, ALL)
    assert datapath.reason(IN, knock(4), Bank.AUDITED) is Reason.DEFAULT_DENY
    assert datapath.ingress(knock(4))


def test_a_staged_policy_in_monitor_mode_opens_nothing(agent, datapath):
    agent.apply(SHUT)
    both = rule("n/http", "tcp/80"), rule("n/no-tls", "tcp/443", action=Action.DENY)
    staging.stage(agent, bundle(*both, mode=Mode.MONITOR), ALL)
    for port in (80, 443):
        assert datapath.reason(IN, knock(4, port=port)) is Reason.DEFAULT_DENY
        assert not datapath.ingress(knock(4, port=port))
    counts = trial_report.staged(agent, agent.observe())["comparisons"]["ingress"]
    assert (counts["deny_to_allow"], counts["agree_deny"]) == (2, 2)


def test_in_a_live_monitor_mode_a_staged_share_may_protect(agent, datapath):
    agent.apply(bundle(endpoints=KNOWN, mode=Mode.MONITOR))
    staging.stage(agent, OPEN, ALL)
    assert datapath.reason(IN, knock(4, port=81), Bank.TRIAL) is Reason.DEFAULT_DENY
    assert not datapath.ingress(knock(4, port=81))
    staging.follow_ceiling(agent, Mode.MONITOR)
    assert datapath.reason(IN, knock(4, port=81), Bank.AUDITED) is Reason.DEFAULT_DENY


# --- what becomes of flows ---


@FAMILIES
def test_flows_of_the_trial_go_on_over_every_step_of_a_promotion(agent, datapath, family):
    agent.apply(SHUT)
    candidate = staging.stage(agent, OPEN, ALL).generation
    handshake(datapath, family, Bank.TRIAL)
    banks = []

    class Watched(Agent):
        def execute(self, ops) -> None:
            for op in ops:
                super().execute([op])
                live = self.observe().live.generation == candidate
                bank = Bank.ENFORCED if live else Bank.TRIAL
                banks.append(bank)
                packet = knock(family, flags=ACK)
                assert datapath.reason(IN, packet, bank) is Reason.SESSION, op

    staging.promote(Watched(agent.kernel, agent.store))
    assert set(banks) == {Bank.ENFORCED, Bank.TRIAL}
    [session] = datapath.sessions()
    assert session.generation == candidate
    assert SessionFlag.TRIED in session.flags  # judged again it would have lost this
    assert datapath.reason(IN, knock(family, 1001)) is Reason.RULE_ALLOW


@FAMILIES
def test_flows_of_the_trial_are_judged_again_when_it_is_unstaged(agent, datapath, family):
    agent.apply(bundle(rule("p/tls", "tcp/443"), endpoints=KNOWN))
    both = bundle(rule("n/http", "tcp/80"), rule("n/tls", "tcp/443"), endpoints=KNOWN)
    staging.stage(agent, both, ALL)
    for port in (80, 443):
        datapath.ingress(knock(family, port=port))
        datapath.egress(reply(family, port=port))
        bank = Bank.TRIAL
        assert datapath.reason(IN, knock(family, port=port, flags=ACK), bank) is Reason.SESSION
    staging.unstage(agent)
    assert datapath.reason(IN, knock(family, port=80, flags=ACK)) is Reason.REVOKED
    assert datapath.reason(IN, knock(family, port=443, flags=ACK)) is Reason.SESSION
    live = agent.observe().live.generation
    [kept] = [s for s in datapath.sessions() if s.local_port == 443]
    assert (kept.generation, kept.flags) == (live, 0)


def test_flows_of_the_live_policy_are_none_of_the_trials_business(agent, datapath):
    agent.apply(OPEN)
    handshake(datapath, 4, Bank.ENFORCED)
    staging.stage(agent, SHUT, ALL)
    assert datapath.reason(IN, knock(4, flags=ACK)) is Reason.SESSION
    assert datapath.reason(IN, knock(4, 1001), Bank.TRIAL) is Reason.DEFAULT_DENY
    staging.promote(agent)
    assert datapath.reason(IN, knock(4, flags=ACK)) is Reason.REVOKED


def test_flows_of_the_trial_outlive_another_live_policy(agent, datapath):
    agent.apply(SHUT)
    staging.stage(agent, OPEN, ALL)
    handshake(datapath, 4, Bank.TRIAL)
    agent.apply(bundle(rule("q/https", "tcp/443"), endpoints=KNOWN))
    assert datapath.reason(IN, knock(4, flags=ACK), Bank.TRIAL) is Reason.SESSION


def test_a_promotion_taken_back_by_the_kernel_revokes_what_it_opened(agent, datapath):
    agent.apply(SHUT)
    staging.stage(agent, OPEN, ALL)
    handshake(datapath, 4, Bank.TRIAL)
    built = agent.observe()
    ops = plan.plan_policy(built, OPEN, agent.build(built, OPEN)[1], None)
    word = next(op.desired for op in ops if isinstance(op, plan.Flip))
    soon = abi.Word(word.active, word.fallback, agent.clock.boot_ms() + 300)
    agent.execute([plan.Flip(built.word, soon), plan.EndTrial()])
    assert datapath.reason(IN, knock(4, flags=ACK)) is Reason.SESSION
    while agent.clock.boot_ms() <= soon.deadline_ms:
        time.sleep(0.01)
    assert datapath.reason(IN, knock(4, flags=ACK)) is Reason.REVOKED
