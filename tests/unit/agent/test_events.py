"""Events, sums and budgets as the kernel writes them, and which sums are worth keeping."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from tcmicro_agent import abi, events
from tcmicro_agent.abi import Bank, Direction, Reason, Verdict
from tcmicro_agent.events import Event, Sum, Told
from tcmicro_agent.tuning import Tuning


def raw_event(version: int, local: bytes, remote: bytes, *, reason: int = 4) -> bytes:
    ports = b"\x15\x38", b"\x03\xe8"
    head = (5_000_000, 7, 3, 2, 60, 9)
    return abi.EVENT.pack(*head, *ports, local, remote, 6, 0, reason, 1, 2, version)


def test_an_event_of_each_family():
    mapped = ip_address("::ffff:10.0.0.1").packed, ip_address("::ffff:10.0.0.2").packed
    assert Event.decode(raw_event(4, *mapped)) == Event(
        time_ns=5_000_000,
        generation=7,
        rule=3,
        identity=2,
        octets=60,
        ifindex=9,
        local=ip_address("10.0.0.1"),
        remote=ip_address("10.0.0.2"),
        local_port=5432,
        remote_port=1000,
        protocol=6,
        direction=Direction.INGRESS,
        reason=Reason.DEFAULT_DENY,
        bank=Bank.AUDITED,
        tcp_flags=2,
    )
    six = Event.decode(raw_event(6, *mapped))
    assert (six.local, six.remote) == tuple(ip_address(address) for address in mapped)
    assert Event.decode(raw_event(0, bytes(16), bytes(16))).local is None


def test_a_sum_over_all_cpus():
    key = abi.SUM_KEY.pack(7, 3, b"\x00\x50", 6, 1, 4, 0)
    entry = Sum.decode(key, [abi.COUNT.pack(2, 120), abi.COUNT.pack(5, 300)])
    assert (entry.generation, entry.rule, entry.port, entry.protocol) == (7, 3, 80, 6)
    assert (entry.direction, entry.reason, entry.bank) == (Direction.EGRESS, 4, Bank.ENFORCED)
    assert (entry.packets, entry.octets) == (7, 420)
    assert entry.key() == key


def test_what_became_of_every_decision_over_all_cpus():
    nothing_held = b"", b""
    rows = (1, 2, 10, 20, 30), (9, 9, 1, 2, 3)
    budgets = [abi.BUDGET.pack(*row, *nothing_held) for row in rows]
    assert Told.decode(budgets) == Told(sent=11, summed=22, unsummed=33)


def test_a_reason_of_a_later_release_is_a_number():
    later = Event.decode(raw_event(4, bytes(16), bytes(16), reason=31))
    assert events.reason_name(later.reason) == "reason-31"
    assert events.verdict(31, Bank.ENFORCED) is Verdict.ALLOW


@pytest.mark.parametrize(
    ("reason", "bank", "verdict"),
    [
        (Reason.RULE_DENY, Bank.ENFORCED, Verdict.DENY),
        (Reason.RULE_DENY, Bank.TRIAL, Verdict.DENY),
        (Reason.RULE_DENY, Bank.AUDITED, Verdict.ALLOW),
        (Reason.RULE_ALLOW, Bank.ENFORCED, Verdict.ALLOW),
    ],
)
def test_verdict_of_a_reason(reason, bank, verdict):
    assert events.verdict(reason, bank) is verdict


def test_a_reason_named_twice_is_one_bit():
    twice = (Reason.SESSION, Reason.DHCP, Reason.SESSION)
    assert events.reason_bits(twice) == 1 | 1 << 19
    once = Tuning(event_reasons=(Reason.SESSION, Reason.DHCP))
    assert Tuning(event_reasons=twice).settings(250, forwarding=0) == once.settings(
        250, forwarding=0
    )


def test_an_unknown_reason_is_refused_with_those_there_are():
    assert events.parse_reason("rule_deny") is Reason.RULE_DENY
    with pytest.raises(ValueError, match=r'"denied" is no reason \(session, rule_allow, '):
        events.parse_reason("denied")


def sums(generation: int, *packets: int) -> list[Sum]:
    return [
        Sum(generation, 1, port, 6, Direction.INGRESS, 4, Bank.ENFORCED, count, count * 60)
        for port, count in enumerate(packets)
    ]


def test_sums_of_gone_generations_are_unwanted():
    old, new = sums(1, 5, 6), sums(2, 7)
    assert events.unwanted([*old, *new], {2, 3}) == old


def test_the_smallest_of_too_many_sums_are_unwanted():
    held = sums(1, *range(1, events.KEPT_SUMS + 4))
    assert [entry.packets for entry in events.unwanted(held, {1})] == [3, 2, 1]
