"""Policies over an inventory → one bundle per host. Equal input gives equal bundles, in whatever order it comes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from tcmicro_agent.jsonutil import show
from tcmicro_agent.policy.codes import Code
from tcmicro_agent.policy.intent import Anyone, Cidrs, HostSelector, Policy, PolicyRule, Tier
from tcmicro_agent.policy.inventory import Inventory
from tcmicro_agent.policy.model import Action, Bundle, Mode, Rule
from tcmicro_agent.policy.peers import Clause, Peers, Selected, find_peers
from tcmicro_agent.policy.problems import Problems
from tcmicro_agent.policy.selection import Selection

Policies = tuple[Policy, ...]

TIERS = tuple(Tier)
SHOWN_HOSTS = 3
NO_POLICY = Bundle(
    host="",
    mode=Mode.MONITOR,
    default_ingress=Action.ALLOW,
    default_egress=Action.ALLOW,
    identities=(),
    endpoints={},
    rules=(),
    default_source=("", ""),
)


@dataclass(frozen=True)
class Line:
    """A rule with the hosts of its selectors looked up; no clauses: it matches everybody."""

    policy: Policy
    rule: PolicyRule
    clauses: tuple[Clause, ...]

    @property
    def uid(self) -> str:
        return f"{self.policy.name.text}/{self.rule.id.text}"


def resolve(policies: Iterable[Policy], inventory: Inventory) -> dict[str, Bundle]:
    """A bundle for every host of the inventory, or PolicyError with all that does not fit. A host that no policy
    names gets a bundle that allows everything, so that removing its last policy un-enforces it."""
    problems = Problems()
    selection = Selection(inventory, problems)
    ordered = tuple(sorted(policies, key=lambda policy: (policy.name.text, policy.name.where)))
    _refuse_twins(ordered, problems)
    subjects = {policy.name: selection.select(policy.subjects) for policy in ordered}
    lines = [_line(policy, rule, selection) for policy in ordered for rule in policy.rules]
    _refuse_unaddressed(lines, inventory, problems)
    applied = {
        host: tuple(policy for policy in ordered if host in subjects[policy.name])
        for host in sorted(inventory.hosts)
    }
    _refuse_mixed_modes(applied, problems)
    problems.raise_any()
    return _bundles(applied, lines, inventory)


def _line(policy: Policy, rule: PolicyRule, selection: Selection) -> Line:
    clauses = tuple(_clause(peer, selection) for peer in rule.peers if not isinstance(peer, Anyone))
    return Line(policy, rule, clauses if len(clauses) == len(rule.peers) else ())


def _clause(peer: HostSelector | Cidrs, selection: Selection) -> Clause:
    return peer if isinstance(peer, Cidrs) else Selected(peer, selection.select(peer))


def _bundles(
    applied: Mapping[str, Policies], lines: list[Line], inventory: Inventory
) -> dict[str, Bundle]:
    """Hosts under the same policies share all but their name, so each combination is resolved once."""
    known: dict[tuple[str, ...], Bundle] = {(): NO_POLICY}
    bundles: dict[str, Bundle] = {}
    for host, policies in applied.items():
        names = tuple(policy.name.text for policy in policies)
        if names not in known:
            mine = [line for line in lines if line.policy.name.text in names]
            known[names] = _bundle(policies, mine, inventory)
        bundles[host] = replace(known[names], host=host)
    return bundles


def _bundle(policies: Policies, lines: list[Line], inventory: Inventory) -> Bundle:
    peers = find_peers([clause for line in lines for clause in line.clauses], inventory)
    ingress = [(policy.default_ingress, policy.name.text) for policy in policies]
    egress = [(policy.default_egress, policy.name.text) for policy in policies]
    forward = [(policy.default_forward, policy.name.text) for policy in policies]
    return Bundle(
        host="",
        mode=policies[0].mode,
        default_ingress=_decisive(ingress)[0],
        default_egress=_decisive(egress)[0],
        identities=peers.identities(inventory),
        endpoints=peers.endpoints(),
        rules=tuple(_rule(line, peers) for line in sorted(lines, key=_precedence)),
        default_source=(_decisive(ingress)[1], _decisive(egress)[1]),
        default_forward=_decisive(forward)[0],
        forward_source=_decisive(forward)[1] if _decisive(forward)[0] is Action.DENY else "",
    )


def _decisive(defaults: list[tuple[Action, str]]) -> tuple[Action, str]:
    """Deny beats allow; of equals, the first policy by name."""
    return next((found for found in defaults if found[0] is Action.DENY), defaults[0])


def _precedence(line: Line) -> tuple[int, bool, str]:
    return TIERS.index(line.policy.tier), line.rule.action is Action.ALLOW, line.uid


def _rule(line: Line, peers: Peers) -> Rule:
    matching = [peers.matching(clause) for clause in line.clauses]
    services = sorted(line.rule.services, key=lambda s: (s.protocol.value, s.first, s.last))
    return Rule(
        uid=line.uid,
        direction=line.rule.direction,
        action=line.rule.action,
        services=tuple(services),
        identities=tuple(sorted(set().union(*matching))),
        any_peer=not line.clauses,
        tier=line.policy.tier.value,
        source=f"{line.rule.id.where.file}:{line.rule.id.where.line}",
    )


def _refuse_twins(policies: Policies, problems: Problems) -> None:
    for one, other in zip(policies, policies[1:]):
        if one.name.text == other.name.text:
            text = f"policy {show(other.name.text)} exists already at {one.name.where}"
            problems.add(other.name.where, Code.DUPLICATE_NAME, text)


def _refuse_unaddressed(lines: list[Line], inventory: Inventory, problems: Problems) -> None:
    """A host that rules name and nobody can recognise would silently match nothing."""
    for clause in (clause for line in lines for clause in line.clauses):
        if isinstance(clause, Selected):
            silent = {name for name in clause.hosts if not inventory.hosts[name].addresses}
            if silent:
                text = f"{_list(silent)} without an address; set tcmicro_addresses or ansible_host"
                problems.add(clause.selector.where, Code.NO_ADDRESS, text)


def _refuse_mixed_modes(applied: Mapping[str, Policies], problems: Problems) -> None:
    found: dict[tuple[Policy, Policy], set[str]] = {}
    for host, policies in applied.items():
        for policy in policies[1:]:
            if policy.mode is not policies[0].mode:
                found.setdefault((policies[0], policy), set()).add(host)
    for (one, other), hosts in found.items():
        text = (
            f"mode: {other.name.text} is {other.mode.value}, {one.name.text} at {one.mode_where} is"
            f" {one.mode.value}, both on {_list(hosts)}; make them agree"
        )
        problems.add(other.mode_where, Code.MODES_DISAGREE, text)


def _list(hosts: Iterable[str]) -> str:
    """A few names and how many more there are."""
    names = sorted(hosts)
    more = len(names) - SHOWN_HOSTS
    return ", ".join(names[:SHOWN_HOSTS]) + (f" and {more} more" if more > 0 else "")
