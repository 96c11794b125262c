"""Temporary rules of a host: what they mean above a bundle, how they come and end, and what a cut leaves."""

from __future__ import annotations

import argparse
from dataclasses import replace
from ipaddress import ip_network

import pytest
from builders import bundle, rule
from fakes import CutError, CutStore, FakeClock, FakeKernel
from hypothesis import given, settings
from hypothesis import strategies as st
from policies import bundles as random_bundles
from policies import flows, networks, services

from tcmicro_agent import local, local_policy, staging, upkeep
from tcmicro_agent.cli import local as verbs
from tcmicro_agent.config import Config
from tcmicro_agent.errors import BundleError, MapFullError, RefusedError
from tcmicro_agent.local import Local, LocalRule, Moment, combine
from tcmicro_agent.policy import bundle as bundles
from tcmicro_agent.policy.evaluate import evaluate
from tcmicro_agent.policy.model import Action, Direction, Protocol, Service
from tcmicro_agent.reconcile import Agent
from tcmicro_agent.store import LockedError
from tcmicro_agent.tables import encode, rule_uids
from tcmicro_agent.trial import Share

NOW = Moment(1_800_000_000, 1_000_000, "boot-1")
POLICY = bundle(rule("p/db", "tcp/5432", (1,)), endpoints={"10.0.0.0/8": 1})
OTHER = bundle(rule("p/web", "tcp/80"))


def local_rule(identifier="a", network="10.0.0.7/32", action=Action.DENY, **content) -> LocalRule:
    made = LocalRule(
        identifier,
        Direction.INGRESS,
        action,
        ip_network(network) if network else None,
        Service(Protocol.TCP, 5432, 5432),
        "",
        NOW,
        600,
    )
    return replace(made, **content)


# --- what they mean ---


@st.composite
def local_rules(draw: st.DrawFn) -> list[LocalRule]:
    found = []
    for number in range(draw(st.integers(1, 4))):
        network = draw(st.one_of(st.none(), networks()))
        found.append(
            local_rule(
                f"r{number}",
                network,
                draw(st.sampled_from(list(Action))),
                direction=draw(st.sampled_from(list(Direction))),
                service=draw(services),
            )
        )
    return found


def reference(rules, policy, flow):
    """The local rules by their own words, deny first; where none matches, the bundle."""
    ordered = sorted(rules, key=lambda r: (r.action is Action.ALLOW, r.uid))
    for found in ordered:
        only = replace(policy, rules=(), default_ingress=Action.ALLOW, default_egress=Action.ALLOW)
        here = found.network is None or flow.peer in found.network
        alone = rule("x", "any", direction=found.direction, action=Action.DENY)
        served = replace(only, rules=(replace(alone, services=(found.service,)),))
        if here and evaluate(served, flow).rule:
            return found.action, found.uid
    verdict = evaluate(policy, flow)
    return verdict.action, verdict.rule


@settings(max_examples=60, deadline=None, database=None)
@given(policy=random_bundles(), rules=local_rules())
def test_they_stand_above_the_bundle_and_change_nothing_else(policy, rules):
    combined = combine(policy, rules)
    bundles.parse(bundles.to_document(combined))  # references hold, numbers are unique
    for flow in flows(combined):
        verdict = evaluate(combined, flow)
        assert (verdict.action, verdict.rule) == reference(rules, policy, flow), flow


def test_peers_of_the_bundle_keep_their_names():
    combined = combine(POLICY, [local_rule()])
    assert [info.name for info in combined.identities] == ["id1", "id1 in 10.0.0.7/32"]
    assert combine(POLICY, []) is POLICY


def test_rules_end_by_the_clock_of_the_boot_and_after_it_by_the_calendar():
    made = local_rule()
    assert made.left_s(replace(NOW, boot_ms=1_000_000 + 599_000, wall_s=0)) == 1
    assert made.left_s(replace(NOW, boot_ms=1_000_000 + 600_000, wall_s=0)) == 0
    later = Moment(NOW.wall_s + 100, 5_000, "boot-2")
    assert made.left_s(later) == 500
    assert made.left_s(replace(later, wall_s=NOW.wall_s + 600)) == 0
    assert made.left_s(replace(later, wall_s=NOW.wall_s - 1)) == 0  # nobody can tell


def test_the_file_is_read_as_it_was_written():
    known = Local((local_rule(), local_rule("b", None)), {7: (local_rule(),), 9: ()})
    assert local.parse(known.to_document()) == known
    with pytest.raises(BundleError):
        local.parse({"rules": [{}], "built": {}})


# --- how they come and end ---


@pytest.fixture
def ruled(agent: Agent) -> Agent:
    agent.apply(POLICY)
    return agent


def held(agent: Agent, policy=POLICY, rules=()) -> bool:
    """Whether the live slot holds exactly that bundle under those rules."""
    live, word = agent.observe().live, agent.kernel.control().word
    combined = combine(policy, rules)
    numbers = agent.store.books().numbers
    assert set(rule_uids(combined)) <= set(numbers)
    built = encode(combined, slot=word.active, generation=1, mode=policy.mode, numbers=numbers)
    sums = agent.kernel.slot_checksums(word.active)
    same = all(sums[name] == made.checksum() for name, made in built.entries.items())
    return same and live.digest == bundles.digest(policy)


def test_a_rule_is_in_force_at_once_and_the_digest_stays(ruled):
    made, outcome = local_policy.add(ruled, local_rule())
    assert (outcome.changed, outcome.digest) == (True, bundles.digest(POLICY))
    assert held(ruled, rules=[made])
    assert ruled.store.books().confirmed.generation == outcome.generation
    assert local_policy.follow(ruled) == []
    assert ruled.apply(POLICY).changed is False
    assert local_policy.delete(ruled, made.id).changed
    assert held(ruled)
    with pytest.raises(RefusedError, match="no local rule"):
        local_policy.delete(ruled, made.id)


def test_the_agent_ends_what_has_expired(ruled, clock):
    made, _ = local_policy.add(ruled, local_rule())
    stays, _ = local_policy.add(ruled, local_rule(ttl_s=900))
    clock.pass_seconds(599)
    assert local_policy.follow(ruled) == []
    clock.pass_seconds(1)
    assert f"local rule {made.id} has ended" in local_policy.follow(ruled)
    assert held(ruled, rules=[stays])
    assert local_policy.follow(ruled) == []


def test_a_new_bundle_keeps_them_and_a_reverted_one_too(ruled, clock):
    made, _ = local_policy.add(ruled, local_rule())
    ruled.apply(OTHER)
    assert held(ruled, OTHER, [made])
    ruled.apply(POLICY, confirm_within=60)
    assert held(ruled, POLICY, [made])
    ruled.revert()
    assert held(ruled, OTHER, [made])


def test_what_expires_while_a_change_is_pending_ends_with_it(ruled, clock):
    local_policy.add(ruled, local_rule(ttl_s=10))
    ruled.apply(OTHER, confirm_within=60)
    clock.pass_seconds(20)
    assert local_policy.follow(ruled) == []
    clock.pass_seconds(41)
    upkeep.settle(ruled)
    assert local_policy.follow(ruled)
    assert held(ruled)


def test_after_a_reboot_only_what_has_not_expired_comes_back(ruled, kernel, clock):
    local_policy.add(ruled, local_rule(ttl_s=10))
    stays, _ = local_policy.add(ruled, local_rule(ttl_s=900))
    clock.wall += 100  # the calendar goes on, the clock starts anew
    clock.boot, clock.now_ms = "boot-2", 0
    kernel.boot()
    ruled.restore(Config().mode)
    assert held(ruled, rules=[stays])
    local_policy.follow(ruled)
    assert [found.id for found in ruled.store.local().rules] == [stays.id]


def test_they_do_not_come_while_another_change_is_under_way(ruled):
    ruled.apply(OTHER, confirm_within=60)
    with pytest.raises(LockedError) as caught:
        local_policy.add(ruled, local_rule())
    assert caught.value.exit_code == 7
    ruled.revert()
    staging.stage(ruled, OTHER, Share())
    with pytest.raises(LockedError, match="staged"):
        local_policy.add(ruled, local_rule())
    staging.unstage(ruled)
    local_policy.add(ruled, local_rule())
    with pytest.raises(RefusedError, match="1 local rules are in force"):
        staging.stage(ruled, OTHER, Share())


def test_they_need_a_policy_to_stand_on(agent):
    with pytest.raises(RefusedError, match="no policy is live"):
        local_policy.add(agent, local_rule())
    assert agent.store.local() == local.NOTHING


def test_there_is_an_end_to_their_number(ruled):
    many = tuple(local_rule(f"r{n}", made=ruled.moment()) for n in range(local.MAX_RULES))
    ruled.store.save_local(Local(many))
    with pytest.raises(RefusedError, match="there are 64 local rules already"):
        local_policy.add(ruled, local_rule())


class FullKernel(FakeKernel):
    full = False

    def fill_slot(self, tables):
        if self.full:
            raise MapFullError("full")
        super().fill_slot(tables)


def test_what_does_not_fit_is_not_wanted_any_more(tmp_path):
    kernel = FullKernel(FakeClock())
    agent = Agent(kernel, CutStore(tmp_path, kernel), kernel._clock)
    agent.apply(POLICY)
    kernel.full = True
    with pytest.raises(MapFullError):
        local_policy.add(agent, local_rule())
    kernel.full = False
    assert agent.store.local().rules == ()
    assert local_policy.follow(agent) == []
    assert held(agent)


@pytest.mark.parametrize("ends", [False, True], ids=["add", "end"])
def test_cut_at_any_write_the_agent_carries_it_on(tmp_path, ends):
    cuts = 0
    while True:
        clock = FakeClock()
        kernel = FakeKernel(clock)
        agent = Agent(kernel, CutStore(tmp_path / str(cuts), kernel), clock)
        agent.apply(POLICY)
        if ends:
            local_policy.add(agent, local_rule(ttl_s=10))
            clock.pass_seconds(10)
        kernel.writes_left = cuts
        try:
            local_policy.follow(agent) if ends else local_policy.add(agent, local_rule())
            break
        except CutError:
            cuts += 1
        kernel.writes_left = None
        upkeep.settle(agent)
        local_policy.follow(agent)
        wanted = agent.local_rules()
        assert held(agent, rules=wanted)
        assert agent.holds_local(agent.observe().live, wanted)
        assert not ends or wanted == ()
        assert local_policy.follow(agent) == []
    assert cuts > 8


# --- as people write them ---


def asked(**content):
    given = {"src_ip": None, "dst_ip": None, "dst_port": None, "comment": "", "ttl": "10m"}
    return argparse.Namespace(
        **{**given, "direction": "ingress", "action": "deny", "protocol": "tcp", **content}
    )


def test_arguments_become_a_rule():
    found = verbs.read(asked(src_ip="10.0.0.7", dst_port="80-90", ttl="1h30m", comment="why"))
    assert found.network == ip_network("10.0.0.7/32")
    assert (found.service, found.ttl_s) == (Service(Protocol.TCP, 80, 90), 5400)
    assert verbs.read(asked(direction="egress", dst_ip="fd00::/64")).network.version == 6
    assert verbs.read(asked()).network is None


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ({"src_ip": "10.0.0.1/8"}, "--src-ip: 10.0.0.1/8 has host bits set"),
        ({"dst_ip": "10.0.0.0/8"}, "a rule for ingress names its peer by --src-ip"),
        ({"protocol": "icmp", "dst_port": "8"}, "icmp has no ports"),
        ({"dst_port": "0"}, "is not N or N-M"),
        ({"dst_port": "90-80"}, "is not N or N-M"),
        ({"ttl": "10"}, "is not a time such as"),
        ({"ttl": "25h"}, "25h is not from 1s to 24h"),
        ({"ttl": "0s"}, "0s is not from 1s to 24h"),
        ({"comment": "a\nb"}, "at most 200 printable"),
    ],
)
def test_what_is_no_rule_is_refused(content, text):
    with pytest.raises(BundleError) as caught:
        verbs.read(asked(**content))
    assert text in str(caught.value)
