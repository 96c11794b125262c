"""Policies that mean the same, written otherwise: the program gives every packet the same verdict."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from ipaddress import ip_network
from itertools import cycle, groupby
from random import Random

import pytest
from builders import bundle
from harness import Datapath
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from policies import QUIET, bundles, first_packet_of, flows
from seeds import base_seed, scaled

from tcmicro_agent.policy.evaluate import NewFlow
from tcmicro_agent.policy.model import (
    Action,
    Bundle,
    Direction,
    Identity,
    Protocol,
    Rule,
    Service,
)
from tcmicro_agent.tables import DIRECTIONS

Transform = Callable[[Bundle, Random], Bundle]
EXAMPLES = 60
DEAD, DEAD_RULES = range(90, 93), 2000  # identities that no address has
NOBODY = ("192.0.2.0/24", "2001:db8:dead::/48")


def rebuilt(
    policy: Bundle,
    *,
    rules: tuple[Rule, ...] = (),
    endpoints: Mapping[str, Identity] | None = None,
) -> Bundle:
    """The same policy with other rules or endpoints; its identities are those that occur."""
    made = bundle(
        *(rules or policy.rules),
        endpoints=dict(policy.endpoints if endpoints is None else endpoints),
        ingress=policy.default_ingress,
        egress=policy.default_egress,
        mode=policy.mode,
    )
    return replace(made, audited_defaults=policy.audited_defaults)


def equals_permuted(policy: Bundle, random: Random) -> Bundle:
    """Neighbours of one action decide alike, whichever comes first."""
    rules: list[Rule] = []
    for _, group in groupby(policy.rules, key=lambda rule: (rule.tier, rule.action)):
        equals = list(group)
        rules += random.sample(equals, len(equals))
    return rebuilt(policy, rules=tuple(rules))


def networks_split(policy: Bundle, random: Random) -> Bundle:
    """Every network becomes its two halves; a half that is somebody else's already stays theirs."""
    networks = {ip_network(network): identity for network, identity in policy.endpoints.items()}
    parts = {str(n): networks[n] for n in networks if n.prefixlen == n.max_prefixlen}
    wide = [network for network in networks if str(network) not in parts]
    for network in sorted(wide, key=lambda network: -network.prefixlen):
        for half in network.subnets():
            parts.setdefault(str(half), networks[network])
    return rebuilt(policy, endpoints=dict(random.sample(list(parts.items()), len(parts))))


def ranges_split(policy: Bundle, random: Random) -> Bundle:
    """Every range of ports becomes two that touch."""
    return rebuilt(
        policy,
        rules=tuple(
            replace(rule, services=tuple(p for s in rule.services for p in _halves(s, random)))
            for rule in policy.rules
        ),
    )


def _halves(service: Service, random: Random) -> list[Service]:
    if service.first == service.last:
        return [service, service]
    middle = random.randrange(service.first, service.last)
    return [replace(service, last=middle), replace(service, first=middle + 1)]


def shadows_added(policy: Bundle, _: Random) -> Bundle:
    """Right behind every rule its contrary, which it shadows."""
    contrary = {Action.ALLOW: Action.DENY, Action.DENY: Action.ALLOW}
    rules = list(policy.rules)
    for rule in policy.rules:
        shadow = replace(rule, uid=f"{rule.uid}-shadow", action=contrary[rule.action])
        rules.insert(rules.index(rule) + 1, shadow)
    return rebuilt(policy, rules=tuple(rules))


def renumbered(policy: Bundle, random: Random) -> Bundle:
    """Other numbers for the same identities; 0 stays the world."""
    numbers = random.sample(range(1, 2**31), 8)

    def other(identity: Identity) -> Identity:
        return Identity(numbers[identity] if identity else identity)

    return rebuilt(
        policy,
        rules=tuple(
            replace(rule, identities=tuple(sorted(map(other, rule.identities))))
            for rule in policy.rules
        ),
        endpoints={network: other(number) for network, number in policy.endpoints.items()},
    )


def audits_removed(policy: Bundle, _: Random) -> Bundle:
    """Without all that only audits: what a policy in mode monitor says lets nothing pass, and stops nothing."""
    rules = tuple(rule for rule in policy.rules if not rule.audits)
    defaults = [way.value in policy.audited_defaults for way in Direction]
    ingress, egress = (
        Action.ALLOW if audited else policy.default(way)
        for way, audited in zip(Direction, defaults, strict=True)
    )
    return replace(
        policy,
        rules=rules,
        default_ingress=ingress,
        default_egress=egress,
        audited_defaults=frozenset(),
    )


def thousands_added(policy: Bundle, random: Random) -> Bundle:
    """Rules for identities that nobody has, anywhere among the others; networks that no packet comes from."""
    rules = list(policy.rules)
    for number in range(DEAD_RULES):
        rules.insert(random.randint(0, len(rules)), _dead_rule(number, random))
    strangers = dict.fromkeys(NOBODY, Identity(DEAD[0]))
    return rebuilt(policy, rules=tuple(rules), endpoints={**policy.endpoints, **strangers})


def _dead_rule(number: int, random: Random) -> Rule:
    first = random.randrange(65000)
    protocol = random.choice([Protocol.TCP, Protocol.UDP, Protocol.SCTP])
    return Rule(
        uid=f"dead/{number}",
        direction=random.choice(list(Direction)),
        action=random.choice(list(Action)),
        services=(Service(protocol, first, first + random.randrange(8)),),
        identities=(Identity(random.choice(DEAD)),),
        any_peer=False,
        tier="app",
        source="x:1",
    )


def everything(policy: Bundle, random: Random) -> Bundle:
    for change in random.sample(CHEAP, len(CHEAP)):
        policy = change(policy, random)
    return policy


CHEAP: list[Transform] = [
    equals_permuted,
    networks_split,
    ranges_split,
    shadows_added,
    renumbered,
]


def verdicts(datapath: Datapath, policy: Bundle, asked: list[NewFlow]) -> list[bool]:
    """Whether each flow passes, by the real program."""
    datapath.forget_sessions()
    datapath.enforce(policy)
    ports = cycle(range(10_000, 60_000))
    return [
        datapath.judges[DIRECTIONS[flow.direction]](first_packet_of(flow, next(ports)))
        for flow in asked
    ]


@pytest.mark.parametrize(
    ("transform", "examples"),
    [
        *((transform, EXAMPLES) for transform in CHEAP),
        (everything, EXAMPLES),
        (audits_removed, EXAMPLES),
        (thousands_added, EXAMPLES // 10),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_no_verdict_changes(datapath, say, transform, examples):
    first, compared = base_seed(), 0
    datapath.tune(QUIET)

    @seed(first)
    @settings(
        max_examples=scaled(examples),
        database=None,
        deadline=None,
        report_multiple_bugs=False,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )
    @given(policy=bundles(), choice=st.integers(0, 2**16))
    def unchanged(policy: Bundle, choice: int) -> None:
        nonlocal compared
        asked = list(flows(policy))
        other = transform(policy, Random(choice))
        before, after = verdicts(datapath, policy, asked), verdicts(datapath, other, asked)
        assert before == after, next(
            f for f, x, y in zip(asked, before, after, strict=True) if x != y
        )
        compared += len(asked)

    say(f"TCM_SEED={first}")
    unchanged()
    say(f"{compared} pairs of verdicts")
    assert compared >= scaled(examples) * len(list(flows(bundle())))
