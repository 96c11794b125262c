"""What was nearly allowed: rules that would allow a refused flow but for one thing, and the edit that mends it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum

from tcmicro_agent.policy.evaluate import NUMBERS, NewFlow
from tcmicro_agent.policy.intent import Cidrs, HostSelector, Peer, Policy, PolicyRule, Tier
from tcmicro_agent.policy.inventory import Address, Host
from tcmicro_agent.policy.model import Action, Bundle, Direction, Identity, Protocol, Rule
from tcmicro_agent.policy.spans import service_text

TIERS = [tier.value for tier in Tier]


class Lack(IntEnum):
    """What a rule lacks, the nearest first: a rule for the same service is nearer than one for the same peer."""

    LABEL = 0
    EXCEPTED = 1
    GROUP = 2
    HOST = 3
    NETWORK = 4
    STRANGER = 5  # it is for hosts of the inventory
    PORT = 6
    PROTOCOL = 7


@dataclass(frozen=True)
class Edit:
    """One thing to write into one rule: a value for a list, which is a member of its n-th peer unless it is `ports`
    or the list of peers itself (`from` or `to`)."""

    place: str  # file:line
    rule: str  # uid
    member: str
    value: str
    peer: int = 0

    def __str__(self) -> str:
        return f"add {self.value} to {self.member} of {self.rule} at {self.place}"


@dataclass(frozen=True)
class Miss:
    """A rule that would allow the flow but for one thing."""

    lack: Lack
    rule: str
    source: str
    text: str  # what it needs, and what is so
    edit: Edit | None  # none where it would allow everybody more


@dataclass(frozen=True)
class Stranger:
    """The other end of the flow: its address, and the host of the inventory that it is, if it is one."""

    address: Address
    host: Host | None
    groups: tuple[str, ...]  # those that say who it is

    @property
    def name(self) -> str:
        return self.host.name if self.host else str(self.address)

    def as_peer(self) -> str:
        """The peer of a rule that means it, and others like it if it is in a group."""
        if self.host is None:
            return f"{{cidrs: [{self.network}]}}"
        if not self.groups:
            return f"{{hosts: [{self.name}]}}"
        return f"{{groups: [{self.groups[0]}]}}"

    @property
    def network(self) -> str:
        text = f"{self.address}/{self.address.max_prefixlen}"
        return f'"{text}"' if ":" in text else text


def misses(
    bundle: Bundle,
    flow: NewFlow,
    peer: Identity,
    stranger: Stranger,
    written: Mapping[str, PolicyRule],
) -> list[Miss]:
    """The nearest first. `written` are the rules as people wrote them, by uid."""
    found = [
        miss
        for rule in bundle.rules
        if rule.action is Action.ALLOW and rule.direction is flow.direction
        for miss in _of_rule(rule, flow, peer, stranger, written.get(rule.uid))
    ]
    return sorted(found, key=lambda miss: (miss.edit is None, miss.lack, miss.rule))


def above(found: list[Miss], bundle: Bundle, uid: str) -> list[Miss]:
    """Those of tiers above a rule that denies: no other would help."""
    tiers = {rule.uid: TIERS.index(rule.tier) for rule in bundle.rules}
    return [miss for miss in found if tiers[miss.rule] < tiers[uid]]


def _of_rule(
    rule: Rule, flow: NewFlow, peer: Identity, stranger: Stranger, written: PolicyRule | None
) -> Iterator[Miss]:
    is_peer = rule.any_peer or peer in rule.identities
    serves = any(
        _serves(s.protocol, flow) and s.first <= flow.port <= s.last for s in rule.services
    )
    if is_peer and not serves:
        yield _service_miss(rule, flow)
    elif serves and written is not None:
        for number, selector in enumerate(written.peers):
            lacks = list(_lacks(selector, stranger))
            if len(lacks) == 1:
                yield _peer_miss(rule, selector, number, stranger, lacks[0])


def _serves(protocol: Protocol, flow: NewFlow) -> bool:
    return protocol is Protocol.ANY or NUMBERS[protocol] == flow.protocol


def _service_miss(rule: Rule, flow: NewFlow) -> Miss:
    same = [service for service in rule.services if _serves(service.protocol, flow)]
    asked = flow_text(flow)
    allows = ", ".join(service_text(service) for service in same or rule.services)
    lack = Lack.PORT if same else Lack.PROTOCOL
    edit = None if rule.any_peer else Edit(rule.source, rule.uid, "ports", asked)
    return Miss(lack, rule.uid, rule.source, f"allows {allows}, not {asked}", edit)


def _lacks(selector: Peer, stranger: Stranger) -> Iterator[tuple[Lack, str, str]]:
    """What keeps the stranger from being this peer: what it lacks, what the selector needs and what is so."""
    if isinstance(selector, Cidrs):
        yield from _network_lacks(selector, stranger)
    elif isinstance(selector, HostSelector) and stranger.host:
        yield from _host_lacks(selector, stranger.host, stranger.groups)
    elif isinstance(selector, HostSelector):
        yield Lack.STRANGER, "is for hosts of the inventory", f"{stranger.name} is none"


def _network_lacks(selector: Cidrs, stranger: Stranger) -> Iterator[tuple[Lack, str, str]]:
    around = [network for network in selector.networks if stranger.address in network]
    holes = [network for network in selector.excluded if stranger.address in network]
    if around and holes:
        yield Lack.EXCEPTED, f"excepts {holes[0]}", f"{stranger.address} is in it"
    elif not around and selector.networks:
        named = ", ".join(map(str, selector.networks[:3]))
        more = ", …" * (len(selector.networks) > 3)
        yield Lack.NETWORK, f"needs an address in {named}{more}", f"it is {stranger.address}"


def _host_lacks(
    selector: HostSelector, host: Host, groups: tuple[str, ...]
) -> Iterator[tuple[Lack, str, str]]:
    wanted = [word.text for word in selector.groups]
    if wanted and not {"all", *host.groups} & set(wanted):
        one = f"group {wanted[0]}" if len(wanted) == 1 else f"one of the groups {', '.join(wanted)}"
        yield Lack.GROUP, f"needs {one}", f"{host.name} is in {', '.join(groups) or 'none'}"
    labels = dict(host.labels)
    for key, value in selector.labels:
        if labels.get(key.text) != value.text:
            has = f"{key.text}={labels[key.text]}" if key.text in labels else f"no {key.text}"
            yield Lack.LABEL, f"needs label {key.text}={value.text}", f"{host.name} has {has}"
    named = [word.text for word in selector.hosts]
    if named and host.name not in named:
        yield Lack.HOST, f"needs one of the hosts {', '.join(named[:3])}", f"this is {host.name}"
    if host.name in [word.text for word in selector.except_hosts]:
        yield Lack.EXCEPTED, f"excepts {host.name}", "this is it"


def _peer_miss(
    rule: Rule, selector: Peer, number: int, stranger: Stranger, lack: tuple[Lack, str, str]
) -> Miss:
    kind, needs, fact = lack
    place = f"{selector.where.file}:{selector.where.line}"
    member, value = _value(kind, selector, stranger)
    if not member:
        member = "from" if rule.direction is Direction.INGRESS else "to"
    edit = Edit(place, rule.uid, member, value, number)
    return Miss(kind, rule.uid, rule.source, f"{needs}; {fact}", edit)


def _value(kind: Lack, selector: Peer, stranger: Stranger) -> tuple[str, str]:
    """Which list of the selector wants which value; "" for the list of peers, where no value would do."""
    if kind is Lack.GROUP and stranger.groups:
        return "groups", stranger.groups[0]
    if kind is Lack.HOST:
        return "hosts", stranger.name
    if kind is Lack.LABEL and isinstance(selector, HostSelector) and stranger.host:
        return "", _like(selector, stranger.host)
    if stranger.host is None:
        return ("cidrs", stranger.network) if kind is Lack.NETWORK else ("", stranger.as_peer())
    one = kind is Lack.EXCEPTED
    return "", f"{{hosts: [{stranger.name}]}}" if one else stranger.as_peer()


def _like(selector: HostSelector, host: Host) -> str:
    """The selector with the labels that the host has; a host that lacks one is named."""
    has = dict(host.labels)
    keys = [key.text for key, _ in selector.labels]
    if not all(key in has for key in keys):
        return f"{{hosts: [{host.name}]}}"
    groups = f"groups: [{', '.join(word.text for word in selector.groups)}], " * bool(
        selector.groups
    )
    return f"{{{groups}labels: {{{', '.join(f'{key}: {has[key]}' for key in keys)}}}}}"


def flow_text(flow: NewFlow) -> str:
    """`tcp/5432`, as policies write it."""
    name = next(protocol.value for protocol, n in NUMBERS.items() if n == flow.protocol)
    return name if flow.protocol == NUMBERS[Protocol.ICMP] else f"{name}/{flow.port}"


def rules_by_uid(policies: Iterable[Policy]) -> dict[str, PolicyRule]:
    return {f"{p.name.text}/{rule.id.text}": rule for p in policies for rule in p.rules}
