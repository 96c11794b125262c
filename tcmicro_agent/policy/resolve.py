"""Policies over an inventory → one bundle per host. Equal input gives equal bundles, in whatever order it comes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from tcmicro_agent.policy.intent import Policy, Tier, Word
from tcmicro_agent.policy.inventory import Inventory
from tcmicro_agent.policy.lines import Line, as_line, at, places_of
from tcmicro_agent.policy.model import Action, Bundle, Mode, Rule
from tcmicro_agent.policy.peers import Peers, find_peers
from tcmicro_agent.policy.problems import Problems
from tcmicro_agent.policy.refusals import (
    refuse_mixed_modes,
    refuse_twins,
    refuse_unaddressed,
    refuse_unknown_places,
)
from tcmicro_agent.policy.selection import Names, Selection

Policies = tuple[Policy, ...]

TIERS = tuple(Tier)
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


def resolve(policies: Iterable[Policy], inventory: Inventory) -> dict[str, Bundle]:
    """A bundle for every host of the inventory, or PolicyError with all that does not fit. A host that no policy
    names gets a bundle that allows everything, so that removing its last policy un-enforces it."""
    problems = Problems()
    selection = Selection(inventory, problems)
    ordered = tuple(sorted(policies, key=lambda policy: (policy.name.text, policy.name.where)))
    refuse_twins(ordered, problems)
    subjects = {policy.name: selection.select(policy.subjects) for policy in ordered}
    lines = [as_line(policy, rule, selection) for policy in ordered for rule in policy.rules]
    applied = _applied(ordered, subjects, inventory)
    refuse_unaddressed(lines, inventory, problems)
    refuse_unknown_places(lines, subjects, inventory, problems)
    refuse_mixed_modes(applied, problems)
    problems.raise_any()
    return _bundles(applied, lines, inventory)


def _applied(
    ordered: Policies, subjects: Mapping[Word, Names], inventory: Inventory
) -> dict[str, Policies]:
    """The policies of each host, in their order."""
    found: dict[str, list[Policy]] = {host: [] for host in sorted(inventory.hosts)}
    for policy in ordered:
        for host in subjects[policy.name]:
            found[host].append(policy)
    return {host: tuple(policies) for host, policies in found.items()}


def _bundles(
    applied: Mapping[str, Policies], lines: list[Line], inventory: Inventory
) -> dict[str, Bundle]:
    """Hosts under the same policies, with the same addresses for the entities in them, share all but their name, so
    each combination is resolved once.
    """
    known: dict[tuple[object, ...], Bundle] = {}
    bundles: dict[str, Bundle] = {}
    of_policy: dict[str, list[Line]] = {line.policy.name.text: [] for line in lines}
    for line in lines:
        of_policy[line.policy.name.text].append(line)
    for name, policies in applied.items():
        names = tuple(policy.name.text for policy in policies)
        mine = [line for policy in names for line in of_policy.get(policy, ())]
        places = places_of(mine, inventory.hosts[name])
        key = names, tuple(places.items())
        if key not in known:
            known[key] = _bundle(policies, [at(line, places) for line in mine], inventory)
        bundles[name] = replace(known[key], host=name)
    return bundles


def _bundle(policies: Policies, lines: list[Line], inventory: Inventory) -> Bundle:
    if not policies:
        return NO_POLICY
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
        window=line.rule.window,
        log=line.rule.log,
    )
