"""Policies of both modes on one host: what those in mode monitor would refuse is a flow that passes, and is counted."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from ipaddress import ip_network

import pytest
from builders import bundle, rule
from harness import Datapath
from packets import ACK, SYN, tcp_packet, udp_packet

from tcmicro_agent import staging, trial_report
from tcmicro_agent.abi import Bank, Direction, Reason
from tcmicro_agent.config import Failsafe
from tcmicro_agent.datapath.events import Ring
from tcmicro_agent.policy.model import Action, Bundle, Log, Protocol, Rule
from tcmicro_agent.policy.model import Direction as Way
from tcmicro_agent.reconcile import Agent
from tcmicro_agent.store import Store
from tcmicro_agent.trial import Share
from tcmicro_agent.tuning import Tuning

US, WEB = "10.0.0.1", "10.0.0.2"
US6, WEB6 = "fd00::1", "fd00::2"
IN, OUT = Direction.INGRESS, Direction.EGRESS
FAMILIES = pytest.mark.parametrize(("us", "peer"), [(US, WEB), (US6, WEB6)])
AUDITED = Bank.AUDITED
OPEN = rule("live/all", "tcp udp")


def audits(found: Rule) -> Rule:
    return replace(found, audits=True)


def no_sql(*, action: Action = Action.DENY) -> Rule:
    return audits(rule("new/sql", "tcp/5432 udp/5432", action=action))


def with_audited_default(found: Bundle) -> Bundle:
    return replace(found, audited_defaults=frozenset({"ingress"}))


def hits(datapath: Datapath, uid: str) -> int:
    number = datapath.numbers[uid]
    return datapath.kernel.rule_hits([number])[number][0]


MIXED = bundle(no_sql(), OPEN)  # egress: deny, enforced
LATER = bundle(replace(no_sql(), audits=False), OPEN)


@FAMILIES
def test_a_flow_that_is_audited_lives_like_any_that_passes(datapath, us, peer):
    datapath.enforce(MIXED)
    before = hits(datapath, "new/sql")
    first, answer = tcp_packet(peer, 9, us, 5432), tcp_packet(us, 5432, peer, 9, SYN | ACK)
    assert datapath.reason(IN, first, AUDITED) is Reason.RULE_DENY
    assert datapath.reason(OUT, answer) is Reason.SESSION
    assert datapath.reason(IN, tcp_packet(peer, 9, us, 5432, ACK)) is Reason.SESSION
    assert [session.rule for session in datapath.sessions()] == [datapath.numbers["new/sql"]]
    assert hits(datapath, "new/sql") - before == 1


def test_answers_to_audited_datagrams_pass_where_egress_is_closed(datapath):
    datapath.enforce(MIXED)
    assert datapath.reason(IN, udp_packet(WEB, 9, US, 5432), AUDITED) is Reason.RULE_DENY
    assert datapath.reason(OUT, udp_packet(US, 5432, WEB, 9)) is Reason.SESSION
    assert not datapath.egress(udp_packet(US, 5432, WEB, 10))


def test_a_default_that_audits(datapath):
    datapath.enforce(with_audited_default(bundle(rule("live/web", "tcp/80"))))
    assert datapath.reason(IN, tcp_packet(WEB, 9, US, 80)) is Reason.RULE_ALLOW
    assert datapath.reason(IN, tcp_packet(WEB, 9, US, 81), AUDITED) is Reason.DEFAULT_DENY
    assert datapath.ingress(tcp_packet(WEB, 9, US, 81))
    assert not datapath.egress(tcp_packet(US, 9, WEB, 81))


def test_a_rule_that_audits_opens_nothing(datapath):
    datapath.enforce(bundle(no_sql(action=Action.ALLOW), rule("live/web", "tcp/80")))
    assert datapath.reason(IN, tcp_packet(WEB, 9, US, 5432)) is Reason.DEFAULT_DENY
    assert not datapath.ingress(tcp_packet(WEB, 9, US, 5432))


def test_what_an_enforcing_rule_denies_is_denied_by_it(datapath):
    refused = rule("live/no", "tcp/5000-6000", action=Action.DENY)
    datapath.enforce(bundle(no_sql(), refused, ingress=Action.ALLOW))
    before = {uid: hits(datapath, uid) for uid in ("live/no", "new/sql")}
    assert not datapath.ingress(tcp_packet(WEB, 9, US, 5432))
    assert hits(datapath, "live/no") - before["live/no"] == 1
    assert hits(datapath, "new/sql") == before["new/sql"]


@FAMILIES
def test_a_flow_that_a_new_policy_would_end_is_told_once_and_goes_on(datapath, us, peer):
    datapath.enforce(bundle(OPEN))
    assert datapath.ingress(udp_packet(peer, 9, us, 5432))
    datapath.enforce(MIXED)
    assert datapath.reason(IN, udp_packet(peer, 9, us, 5432), AUDITED) is Reason.REVOKED
    assert datapath.reason(OUT, udp_packet(us, 5432, peer, 9)) is Reason.SESSION
    datapath.enforce(LATER)
    assert datapath.reason(IN, udp_packet(peer, 9, us, 5432)) is Reason.REVOKED
    assert not datapath.ingress(udp_packet(peer, 9, us, 5432))


def test_the_failsafe_keeps_open_what_is_audited_too(datapath):
    kept = Failsafe(Way.INGRESS, Protocol.TCP, 5432, ip_network(f"{WEB}/32"))
    datapath.kernel.set_failsafe(frozenset({kept.key()}))
    datapath.enforce(MIXED)
    assert datapath.reason(IN, tcp_packet(WEB, 9, US, 5432)) is Reason.FAILSAFE


def test_a_flood_of_what_is_audited_is_a_flood(datapath):
    datapath.enforce(MIXED)
    datapath.limit_syns(source=(3, 2))
    passed = [datapath.ingress(tcp_packet("192.0.2.9", 9 + n, US, 5432)) for n in range(5)]
    assert passed == [True, True, False, False, False]
    assert datapath.reason(IN, tcp_packet("192.0.2.9", 99, US, 5432)) is Reason.SYN_FLOOD


def test_a_staged_policy_is_compared_by_what_it_says(datapath, tmp_path):
    agent = Agent(datapath.kernel, Store(tmp_path))
    agent.apply(bundle(OPEN))
    staging.stage(agent, MIXED, Share(100, 600))
    assert datapath.reason(IN, tcp_packet(WEB, 9, US, 5432), AUDITED) is Reason.RULE_DENY
    assert datapath.reason(IN, tcp_packet(WEB, 9, US, 80), Bank.TRIAL) is Reason.RULE_ALLOW
    assert (
        datapath.reason(OUT, tcp_packet(US, 5432, WEB, 9, SYN | ACK), Bank.TRIAL) is Reason.SESSION
    )
    compared = trial_report.staged(agent, agent.observe())["comparisons"]["ingress"]
    assert (compared["allow_to_deny"], compared["agree_allow"]) == (1, 1)


# --- what is told ---


@pytest.fixture
def ring(datapath):
    datapath.tune(Tuning(event_reasons=(Reason.RULE_DENY, Reason.REVOKED), event_burst=10_000))
    with closing(Ring(datapath.kernel)) as opened:
        while opened.take():
            pass
        yield opened


def logged(uid: str, port: int, log: Log, action: Action) -> Rule:
    return replace(rule(uid, f"tcp/{port}", action=action), log=log)


@pytest.mark.parametrize("action", Action)
def test_each_rule_is_told_as_it_says(datapath, ring, action):
    reason = Reason.RULE_ALLOW if action is Action.ALLOW else Reason.RULE_DENY
    rules = [logged(f"p/{log.value}", n, log, action) for n, log in enumerate(Log, start=80)]
    datapath.enforce(bundle(*rules))
    before = datapath.counts()
    for port in (80, 81, 82):
        datapath.ingress(tcp_packet(WEB, 9, US, port))
        datapath.ingress(tcp_packet(WEB, 9, US, port, ACK))
    uids = {number: uid for uid, number in datapath.numbers.items()}
    told = [uids[event.rule] for event in ring.take()]
    assert told == (["p/deny"] if action is Action.DENY else []) + ["p/all"]
    assert (datapath.counts() - before)[Bank.ENFORCED, IN, reason] == 3


def test_what_a_rule_keeps_quiet_is_quiet_when_it_ends_a_flow_too(datapath, ring):
    for log, told in ((Log.NONE, []), (Log.ALL, [Reason.REVOKED])):
        datapath.enforce(bundle(OPEN))
        datapath.ingress(udp_packet(WEB, 9, US, 80))
        ring.take()
        datapath.enforce(bundle(replace(rule("p/no", "udp", action=Action.DENY), log=log)))
        assert not datapath.ingress(udp_packet(WEB, 9, US, 80))
        assert [event.reason for event in ring.take()] == told
        datapath.forget_sessions()


def test_an_audited_flow_is_told_as_what_would_be_refused(datapath, ring):
    datapath.enforce(MIXED)
    datapath.ingress(tcp_packet(WEB, 9, US, 5432))
    [event] = ring.take()
    assert (event.reason, event.bank) == (Reason.RULE_DENY, AUDITED)
    assert event.rule == datapath.numbers["new/sql"]
