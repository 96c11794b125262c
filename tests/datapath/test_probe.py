"""Whether a host enforces, measured: every way in which it does not is found, and looking leaves no trace."""

from __future__ import annotations

import itertools
from dataclasses import replace
from functools import partial
from ipaddress import ip_network

import pytest
from builders import bundle, rule
from conftest import OBJECT
from harness import Datapath
from hypothesis import HealthCheck, Phase, given, seed, settings
from keeping import need_tcx
from policies import bundles
from seeds import base_seed, scaled
from world import PEER, World

from tcmicro_agent import abi
from tcmicro_agent.attachments import Attachments
from tcmicro_agent.canaries import canaries
from tcmicro_agent.config import Config, Failsafe, HookKind
from tcmicro_agent.datapath import events
from tcmicro_agent.datapath.ask import asking
from tcmicro_agent.datapath.clock import Clock
from tcmicro_agent.datapath.kernel import Kernel
from tcmicro_agent.inspection import Inspection
from tcmicro_agent.policy.model import Action, Direction, Mode, Protocol, Window
from tcmicro_agent.probe import INTERVAL_S, RETRY_S, Probe, Why
from tcmicro_agent.reconcile import Agent
from tcmicro_agent.store import Store
from tcmicro_agent.tables import DIRECTIONS, VERDICTS

SSH = Failsafe(Direction.INGRESS, Protocol.TCP, 22, ip_network("10.9.0.0/24"))
DNS = Failsafe(Direction.EGRESS, Protocol.UDP, 53, ip_network("10.9.0.53/32"))
POLICY = bundle(
    rule("p/db", "tcp/5432", (1,)),
    rule("p/no", "tcp/25", action=Action.DENY, direction=Direction.EGRESS),
    endpoints={PEER: 1},
)
OF_THE_LINK = {abi.Reason.NEIGHBOUR, abi.Reason.NON_IP, abi.Reason.UNENFORCED}
ACTIONS = {verdict: action for action, verdict in VERDICTS.items()}
POLICIES = 150


class LaterClock(Clock):
    """The host's clocks, and a wall clock that can be set forward."""

    later_s = 0.0

    def wall_s(self) -> float:
        return super().wall_s() + self.later_s


class Host:
    """An agent's parts on `us` of a world, guarding eth0; time for the probe passes when it is told to."""

    def __init__(self, kernel: Kernel, world: World, store: Store, hook: str) -> None:
        self.kernel, self.world = kernel, world
        Datapath(kernel).close()
        self.clock = LaterClock()
        examiner = Inspection(kernel, lambda: self.config, OBJECT)
        self.agent = Agent(kernel, store, self.clock, examiner)
        self.config = Config(
            interfaces=("eth0",), hook=HookKind(hook), failsafe=(SSH, DNS), mode=Mode.PROTECT
        )
        kernel.set_failsafe(self.config.failsafe_keys())
        self.attach()
        self.now = 0.0
        self.probe = Probe(self.agent, lambda: self.config, OBJECT, lambda: self.now)

    def attach(self) -> None:
        self.world.us.inside(Attachments(self.kernel).converge, self.config)

    def look(self, after_s: float = 0.0) -> Why:
        self.now += after_s
        self.found = self.world.us.inside(self.probe.look)
        return self.found.why

    def close(self) -> None:
        self.probe.close()
        self.world.us.inside(self.kernel.detach, self.world.interface)


@pytest.fixture(scope="module")
def world():
    made = World()
    yield made
    made.close()


@pytest.fixture
def hook():
    return "auto"


@pytest.fixture
def host(kernel, world, tmp_path, hook):
    made = Host(kernel, world, Store(tmp_path), hook)
    yield made
    made.close()


def traces(kernel: Kernel) -> tuple[object, ...]:
    """All that judging leaves, but for what a living link says of itself."""
    places = itertools.product(abi.Bank, abi.Direction, set(abi.Reason) - OF_THE_LINK)
    indexes = [abi.counter_index(way, reason, bank) for bank, way, reason in places]
    counters = kernel.counters()
    counted = [counters[n] for n in indexes], kernel.rule_hits(list(range(1, 20)))
    told, sums = events.told(kernel), list(events.sums(kernel))
    return counted, kernel.sessions.counts(), vars(told), sums


def test_a_host_that_enforces_is_found_to_and_nothing_shows_it(host):
    assert host.look() is Why.NO_POLICY
    host.agent.apply(POLICY)
    before = traces(host.kernel)
    assert host.look() is Why.NONE
    assert host.found.asked == 8
    assert host.found.hooks.guarded == ("eth0",)
    for _ in range(20):
        assert host.look(INTERVAL_S) is Why.NONE
    assert host.probe.probes == 22
    assert traces(host.kernel) == before


def test_flows_of_both_verdicts_and_directions_are_asked_about():
    asked = canaries(POLICY, (SSH, DNS))
    kinds = {(one.asked.direction, one.expected.action, one.expected.reason) for one in asked}
    assert kinds == {
        (Direction.INGRESS, Action.DENY, "default_deny"),
        (Direction.INGRESS, Action.ALLOW, "rule_allow"),
        (Direction.INGRESS, Action.ALLOW, "failsafe"),
        (Direction.EGRESS, Action.DENY, "default_deny"),
        (Direction.EGRESS, Action.DENY, "rule_deny"),
        (Direction.EGRESS, Action.ALLOW, "failsafe"),
    }


@pytest.mark.parametrize("hook", ["tcx", "clsact"])
@pytest.mark.parametrize("way", abi.Direction)
def test_a_program_that_is_taken_away_is_found_within_an_interval(host, hook, way):
    if hook == "tcx":
        need_tcx()
    host.agent.apply(POLICY)
    assert host.look() is Why.NONE
    present = host.kernel.hook(hook, host.world.interface)
    host.world.us.inside(present.detach, host.world.interface.index, way)
    assert host.look(INTERVAL_S - 0.1) is Why.NONE
    assert host.look(0.1) is Why.NOT_ATTACHED
    assert (host.found.detail, host.found.hooks.missing) == ("eth0", ("eth0",))
    host.attach()
    assert host.look(RETRY_S) is Why.NONE


def test_a_spoiled_control_word_is_found_at_once(host):
    host.agent.apply(POLICY)
    assert host.look() is Why.NONE
    word = host.kernel.control().word
    empty = next(n for n, header in enumerate(host.kernel.headers()) if not header.generation)
    spoiled = abi.Word(empty, empty, 0).encode()
    host.kernel.transition(word.encode(), spoiled)
    assert host.look() is Why.NO_POLICY
    host.kernel.transition(spoiled, word.encode())
    assert host.look() is Why.NONE


def test_a_spoiled_header_is_found_at_once(host):
    host.agent.apply(POLICY)
    slot = host.kernel.control().word.active
    header = host.kernel.headers()[slot]
    assert host.look() is Why.NONE
    allow = (abi.Verdict.ALLOW,) * len(header.defaults)
    host.kernel.put_header(slot, replace(header, defaults=allow))
    assert host.look() is Why.WRONG_ANSWER
    assert "ingress 192.0.2.1 tcp/1: allow (default_allow" in host.found.detail
    assert "expected deny (default_deny" in host.found.detail


def test_rules_that_are_lost_are_found_within_an_interval(host):
    host.agent.apply(POLICY)
    assert host.look() is Why.NONE
    table = host.kernel.map("tcm_rules")
    for key in list(table):
        table.delete(key)
    assert host.look() is Why.NONE
    assert host.look(INTERVAL_S) is Why.WRONG_ANSWER
    assert f"ingress {PEER} tcp/5432: deny (default_deny" in host.found.detail


def test_a_failsafe_that_is_lost_is_found_within_an_interval(host):
    host.agent.apply(POLICY)
    assert host.look() is Why.NONE
    host.kernel.set_failsafe(frozenset())
    assert host.look(INTERVAL_S) is Why.WRONG_ANSWER
    assert "ingress 10.9.0.0 tcp/22: deny (default_deny" in host.found.detail


def test_monitor_mode_enforces_nothing(host):
    host.agent.apply(replace(POLICY, mode=Mode.MONITOR))
    assert host.look() is Why.MONITOR


def test_a_host_with_policies_of_both_modes_enforces_and_is_found_to(host):
    watched = replace(
        rule("q/db", "tcp/5433", action=Action.DENY, direction=Direction.INGRESS), audits=True
    )
    host.agent.apply(bundle(watched, *POLICY.rules, endpoints={PEER: 1}, ingress=Action.ALLOW))
    assert host.look() is Why.NONE
    assert host.found.asked == 9


def test_a_policy_that_was_taken_back_is_not_asked_for(host):
    host.agent.apply(POLICY)
    tentative = partial(host.agent.apply, bundle(ingress=Action.ALLOW), confirm_within=60)
    host.world.us.inside(tentative)
    assert host.look() is Why.NONE
    generation = host.found.generation
    host.agent.revert()
    assert host.look() is Why.NONE
    assert host.found.generation == generation - 1


def test_rules_are_expected_as_they_were_when_the_policy_was_built(host):
    end = int(host.clock.wall_s()) + 100
    contractor = replace(rule("p/db", "tcp/5432", (1,)), window=Window(None, end))
    host.agent.apply(bundle(contractor, endpoints={PEER: 1}))
    assert host.look() is Why.NONE
    host.clock.later_s = 200.0  # the agent has not followed yet
    host.probe.close()
    assert host.look(INTERVAL_S) is Why.NONE
    host.agent.restore(Mode.PROTECT)
    assert host.look() is Why.NONE


def test_a_bundle_that_is_not_kept_is_not_vouched_for(host):
    digest = host.agent.apply(POLICY).digest
    host.agent.store._bundle(digest).unlink()
    assert host.look() is Why.NO_BUNDLE
    assert host.found.detail == digest


def test_where_no_interface_is_guarded_nothing_is_enforced(host):
    host.agent.apply(POLICY)
    host.world.us.inside(host.kernel.detach, host.world.interface)
    host.config = replace(host.config, interfaces=("nothing*",))
    assert host.look() is Why.NO_INTERFACE


def test_what_cannot_be_measured_is_not_said_to_enforce(host, tmp_path):
    host.agent.apply(POLICY)
    host.probe = Probe(host.agent, lambda: host.config, tmp_path / "missing.o", lambda: host.now)
    assert host.look() is Why.PROBE_FAILED
    assert "missing.o" in host.found.detail


def test_without_a_datapath_nothing_is_enforced(host, tmp_path):
    nothing = Agent(Kernel(tmp_path / "pins"), host.agent.store)
    host.probe = Probe(nothing, lambda: host.config, OBJECT, lambda: host.now)
    assert host.look() is Why.NOT_LOADED


def test_the_kernel_says_of_any_policy_what_is_expected(datapath, say):
    begin = base_seed()
    say(f"seed {begin}")
    compared = 0

    @seed(begin)
    @settings(
        max_examples=scaled(POLICIES),
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
        database=None,
    )
    @given(bundles())
    def compare(policy) -> None:
        nonlocal compared
        datapath.enforce(policy)
        for one in canaries(policy, (SSH, DNS)):
            said = ask(DIRECTIONS[one.asked.direction], one.packet)
            action = Action.DENY if said.audited else ACTIONS[said.verdict]
            heard = action, said.reason.name.lower(), said.audited
            wanted = one.expected
            assert heard == (wanted.action, wanted.reason, wanted.audited), str(one)
            compared += 1

    datapath.kernel.set_failsafe(frozenset({SSH.key(), DNS.key()}))
    with asking(datapath.kernel, OBJECT) as ask:
        compare()
    say(f"{compared} flows")
    assert compared > 4 * scaled(POLICIES)
