"""Whether one end may open a connection to another, which rule at which end decides it, and what was nearly allowed."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from itertools import product

from tcmicro_agent.policy.difference.timeline import at_time
from tcmicro_agent.policy.evaluate import NUMBERS, NewFlow, evaluate
from tcmicro_agent.policy.explanation.answers import (
    Answer,
    EndAnswer,
    Explanation,
    Question,
    merged,
    told,
)
from tcmicro_agent.policy.explanation.crews import Crew, Crews, find_hosts
from tcmicro_agent.policy.explanation.lacks import Stranger
from tcmicro_agent.policy.explanation.misses import Miss, NearMisses, above, rules_by_uid
from tcmicro_agent.policy.intent import Policy
from tcmicro_agent.policy.inventory import Address, Host, Inventory
from tcmicro_agent.policy.model import Bundle, Direction, Identity, Mode, Protocol, Service
from tcmicro_agent.policy.problems import Fault, Problems
from tcmicro_agent.policy.reach.decisions import default_cause
from tcmicro_agent.policy.reach.naming import own_groups
from tcmicro_agent.policy.reach.spans import Cause, cause_of
from tcmicro_agent.policy.resolve import resolve
from tcmicro_agent.policy.selection import Selection

ITSELF = "a host's traffic to itself is never judged"
ECHO_REQUESTS = {4: 8 << 8, 6: 128 << 8}  # a question about ICMP is about ping
FAMILIES = "no address of one family at both ends"


def explain(
    questions: Sequence[Question], policies: Sequence[Policy], inventory: Inventory, now: float
) -> Iterator[Explanation]:
    """The answer to each, at a time in seconds since 1970. PolicyError with every end that does not exist, and with
    what does not fit in the policies of the hosts that are asked about; no others are resolved.
    """
    explainer = _Explainer(policies, inventory, _asked(questions, inventory), now)
    return map(explainer.explain, questions)


def _asked(questions: Sequence[Question], inventory: Inventory) -> set[str]:
    problems = Problems()
    hosts: set[str] = set()
    for end in (end for question in questions for end in (question.source, question.target)):
        try:
            hosts.update(find_hosts(end, inventory))
        except Fault as fault:
            problems.take(fault)
    problems.raise_any()
    return hosts


class _Explainer:
    def __init__(
        self, policies: Sequence[Policy], inventory: Inventory, hosts: set[str], now: float
    ) -> None:
        self._now = now
        self._whole = _bundles(policies, inventory, hosts)
        self._bundles = at_time(self._whole, now)
        self._crews = Crews(self._bundles, inventory)
        self._groups = own_groups(inventory)
        self._written = rules_by_uid(policies)
        self._places = {p.name.text: f"{p.name.where.file}:{p.name.where.line}" for p in policies}

    def explain(self, question: Question) -> Explanation:
        pairs = product(self._crews.of(question.source), self._crews.of(question.target))
        found = [answer for pair in pairs for answer in self._answers(*pair, question.service)]
        others = [answer for answer in found if answer.note != ITSELF]
        return Explanation(question, tuple(merged(others or found)))

    def _answers(self, source: Crew, target: Crew, service: Service) -> Iterator[Answer]:
        if source.names[:1] == target.names[:1] != ():
            if source.is_one_host and target.is_one_host:
                yield Answer(source, target, (), (), ITSELF)
                return
            source, target = self._two_hosts(source, target)
        missing = [crew.names[0] for crew in (source, target) if not crew.addresses]
        pairs = [
            p for p in product(source.addresses, target.addresses) if p[0].version == p[1].version
        ]
        if missing:
            text = (
                f"{' and '.join(missing)} without an address; set tcmicro_addresses or ansible_host"
            )
            yield Answer(source, target, (), (), text, decidable=False)
        elif not pairs:
            yield Answer(source, target, (), (), FAMILIES, decidable=False)
        yield from self._by_ends(source, target, pairs, service)

    def _two_hosts(self, source: Crew, target: Crew) -> tuple[Crew, Crew]:
        """The same, not both shown by one host."""
        if target.is_one_host:
            return self._crews.another(source), target
        return source, self._crews.another(target)

    def _by_ends(
        self, source: Crew, target: Crew, pairs: Iterable[tuple[Address, Address]], service: Service
    ) -> Iterator[Answer]:
        """One answer for all addresses that are decided alike."""
        found: dict[Hashable, list[tuple[Address, Address]]] = {}
        ends: dict[Hashable, tuple[EndAnswer, ...]] = {}
        for pair in pairs:
            decided = tuple(self._ends(source.host, target.host, pair, service))
            key = told(decided)
            found.setdefault(key, []).append(pair)
            ends.setdefault(key, decided)
        for key, alike in found.items():
            yield Answer(source, target, tuple(alike), ends[key])

    def _ends(
        self,
        source: Host | None,
        target: Host | None,
        pair: tuple[Address, Address],
        service: Service,
    ) -> Iterator[EndAnswer]:
        protocol, port = NUMBERS[service.protocol], service.first
        if service.protocol is Protocol.ICMP:
            port = ECHO_REQUESTS[pair[0].version]
        if source:
            flow = NewFlow(Direction.EGRESS, pair[1], protocol, port)
            yield self._end(source.name, flow, self._stranger(pair[1], target))
        if target:
            flow = NewFlow(Direction.INGRESS, pair[0], protocol, port)
            yield self._end(target.name, flow, self._stranger(pair[0], source))

    def _stranger(self, address: Address, host: Host | None) -> Stranger:
        return Stranger(address, host, self._groups[host.name] if host else ())

    def _end(self, host: str, flow: NewFlow, peer: Stranger) -> EndAnswer:
        bundle = self._bundles[host]
        verdict = evaluate(bundle, flow)
        if verdict.rule:
            rule = next(rule for rule in bundle.rules if rule.uid == verdict.rule)
            cause = cause_of(rule, bundle.mode_of(rule))
        else:
            cause = default_cause(bundle, flow.direction)
        place = cause.source or self._places.get(cause.policy, "")
        found = () if cause.allows else self._misses(bundle, flow, verdict.identity, peer, cause)
        return EndAnswer(flow.direction, host, cause, place, tuple(found), peer)

    def _misses(
        self, bundle: Bundle, flow: NewFlow, identity: Identity, peer: Stranger, cause: Cause
    ) -> list[Miss]:
        """Of a refusal that is enforced, only rules that enforce: no other would help."""
        near = NearMisses(flow, identity, peer, self._written)
        enforced = cause.mode is Mode.PROTECT
        here, whole = (
            [rule for rule in found.rules if not (enforced and rule.audits)]
            for found in (bundle, self._whole[bundle.host])
        )
        found = near.among(here, whole, self._now)
        return above(found, bundle, cause.rule) if cause.rule else found


def _bundles(
    policies: Sequence[Policy], inventory: Inventory, hosts: set[str]
) -> Mapping[str, Bundle]:
    """Those of some hosts. Policies that are about none of them are left out before anything is resolved."""
    selection = Selection(inventory, Problems())
    mine = [policy for policy in policies if hosts & selection.select(policy.subjects)]
    resolved = resolve(mine, inventory)
    return {name: resolved[name] for name in sorted(hosts)}
