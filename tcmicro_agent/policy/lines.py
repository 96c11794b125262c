"""Rules with their selectors looked up, and the entities that mean other addresses on every host."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from tcmicro_agent.policy.intent import (
    Anyone,
    Cidrs,
    Entity,
    HostSelector,
    Known,
    Policy,
    PolicyRule,
)
from tcmicro_agent.policy.inventory import Host, as_networks
from tcmicro_agent.policy.model import Network
from tcmicro_agent.policy.peers import Clause, Selected
from tcmicro_agent.policy.selection import Selection

Places = Mapping[Entity, tuple[Network, ...]]

ADDRESSES: Mapping[Entity, Callable[[Host], tuple[Network, ...]]] = {
    Entity.SELF: lambda host: host.networks,
    Entity.CONTROLLER: lambda host: as_networks(host.controller),
    Entity.RESOLVERS: lambda host: as_networks(host.resolvers),
}


@dataclass(frozen=True)
class Line:
    """A rule with the hosts of its selectors looked up; no clauses: it matches everybody."""

    policy: Policy
    rule: PolicyRule
    clauses: tuple[Clause, ...]

    @property
    def uid(self) -> str:
        return f"{self.policy.name.text}/{self.rule.id.text}"

    @property
    def places(self) -> list[Known]:
        """Its entities that mean other addresses on every host."""
        return [
            clause
            for clause in self.clauses
            if isinstance(clause, Known) and clause.entity in ADDRESSES
        ]


def as_line(policy: Policy, rule: PolicyRule, selection: Selection) -> Line:
    clauses = tuple(_clause(peer, selection) for peer in rule.peers if not isinstance(peer, Anyone))
    return Line(policy, rule, clauses if len(clauses) == len(rule.peers) else ())


def local_entities(lines: Iterable[Line]) -> list[Entity]:
    """The entities of the lines that mean other addresses on every host."""
    found = {clause.entity for line in lines for clause in line.places}
    return [entity for entity in Entity if entity in found]


def places_of(entities: Iterable[Entity], host: Host) -> Places:
    """What they mean on a host."""
    return {entity: ADDRESSES[entity](host) for entity in entities}


def at(line: Line, places: Places) -> Line:
    """The line as it reads on a host."""
    if not line.places:
        return line
    return replace(line, clauses=tuple(_placed(clause, places) for clause in line.clauses))


def _clause(peer: HostSelector | Cidrs | Known, selection: Selection) -> Clause:
    return Selected(peer, selection.select(peer)) if isinstance(peer, HostSelector) else peer


def _placed(clause: Clause, places: Places) -> Clause:
    if isinstance(clause, Known) and clause.entity in places:
        return Cidrs(clause.where, places[clause.entity])
    return clause
