"""What was nearly allowed: rules that would allow a refused flow but for one thing, and the edit that mends it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from tcmicro_agent.policy.evaluate import NUMBERS, NewFlow
from tcmicro_agent.policy.explanation.lacks import Lack, Stranger, Told, lacks_of, mending
from tcmicro_agent.policy.intent import Peer, Policy, PolicyRule, Tier
from tcmicro_agent.policy.model import Action, Bundle, Direction, Identity, Protocol, Rule
from tcmicro_agent.policy.reach.spans import service_text
from tcmicro_agent.policy.windows import holds
from tcmicro_agent.policy.windows import written as time_text

PING = "icmp/echo-request"
TIERS = [tier.value for tier in Tier]


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
        if not self.value:
            return f"change {self.member} of {self.rule} at {self.place}"
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
class NearMisses:
    """Of one refused flow from or to a peer. `written` are the rules as people wrote them, by uid."""

    flow: NewFlow
    identity: Identity
    peer: Stranger
    written: Mapping[str, PolicyRule]

    def among(self, in_force: Iterable[Rule], rules: Iterable[Rule], now: float) -> list[Miss]:
        """The nearest first; of the rules, some are not in force now."""
        missed = [miss for rule in in_force for miss in self._of_rule(rule)]
        closed = (rule for rule in rules if not holds(rule.window, now))
        missed += [_time_miss(rule, now) for rule in closed if self._matches(rule)]
        return sorted(missed, key=lambda miss: (miss.edit is None, miss.lack, miss.rule))

    def _of_rule(self, rule: Rule) -> Iterator[Miss]:
        if rule.action is not Action.ALLOW or rule.direction is not self.flow.direction:
            return
        written = self.written.get(rule.uid)
        if not self._serves(rule):
            if self._is_peer(rule):
                yield _service_miss(rule, self.flow)
        elif written is not None:
            for number, selector in enumerate(written.peers):
                lacks = list(lacks_of(selector, self.peer))
                if len(lacks) == 1:
                    yield _peer_miss(rule, selector, number, self.peer, lacks[0])

    def _matches(self, rule: Rule) -> bool:
        allows = rule.action is Action.ALLOW and rule.direction is self.flow.direction
        return allows and self._is_peer(rule) and self._serves(rule)

    def _is_peer(self, rule: Rule) -> bool:
        return rule.any_peer or self.identity in rule.identities

    def _serves(self, rule: Rule) -> bool:
        port = self.flow.port
        services = (service for service in rule.services if _is_of(service.protocol, self.flow))
        return any(service.first <= port <= service.last for service in services)


def above(found: list[Miss], bundle: Bundle, uid: str) -> list[Miss]:
    """Those of tiers above a rule that denies: no other would help."""
    tiers = {rule.uid: TIERS.index(rule.tier) for rule in bundle.rules}
    return [miss for miss in found if tiers[miss.rule] < tiers[uid]]


def _time_miss(rule: Rule, now: float) -> Miss:
    start, end = rule.window.start, rule.window.end
    if start is not None and start > now:
        member, text = "startsAt", f"is in force from {time_text(start)} only"
    else:
        member, text = "expires", f"expired {time_text(end or 0)}"
    edit = Edit(rule.source, rule.uid, member, "")
    return Miss(Lack.TIME, rule.uid, rule.source, text, edit)


def _is_of(protocol: Protocol, flow: NewFlow) -> bool:
    return protocol is Protocol.ANY or NUMBERS[protocol] == flow.protocol


def _service_miss(rule: Rule, flow: NewFlow) -> Miss:
    same = [service for service in rule.services if _is_of(service.protocol, flow)]
    asked = flow_text(flow)
    allows = ", ".join(service_text(service) for service in same or rule.services)
    lack = Lack.PORT if same else Lack.PROTOCOL
    edit = None if rule.any_peer else Edit(rule.source, rule.uid, "ports", asked)
    return Miss(lack, rule.uid, rule.source, f"allows {allows}, not {asked}", edit)


def _peer_miss(rule: Rule, selector: Peer, number: int, stranger: Stranger, lack: Told) -> Miss:
    kind, needs, fact = lack
    place = f"{selector.where.file}:{selector.where.line}"
    member, value = mending(kind, selector, stranger)
    if not member:
        member = "from" if rule.direction is Direction.INGRESS else "to"
    edit = Edit(place, rule.uid, member, value, number)
    return Miss(kind, rule.uid, rule.source, f"{needs}; {fact}", edit)


def flow_text(flow: NewFlow) -> str:
    """`tcp/5432`, as policies write it; of ICMP only ping is asked about."""
    name = next(protocol.value for protocol, n in NUMBERS.items() if n == flow.protocol)
    return PING if flow.protocol == NUMBERS[Protocol.ICMP] else f"{name}/{flow.port}"


def rules_by_uid(policies: Iterable[Policy]) -> dict[str, PolicyRule]:
    return {f"{p.name.text}/{rule.id.text}": rule for p in policies for rule in p.rules}
