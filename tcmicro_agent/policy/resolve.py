"""Policies over an inventory → one bundle per host. Equal input gives equal bundles, in whatever order it comes."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import chain

from tcmicro_agent.policy.intent import Entity, Policy, Tier, Word
from tcmicro_agent.policy.inventory import Inventory
from tcmicro_agent.policy.lines import Line, as_line, at, local_entities, places_of
from tcmicro_agent.policy.model import Action, Bundle, Mode, Rule
from tcmicro_agent.policy.peers import Peers, find_peers, is_about_all, named_hosts
from tcmicro_agent.policy.problems import Problems
from tcmicro_agent.policy.refusals import (
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
    return Resolver(policies).resolve(inventory)


@dataclass(frozen=True)
class Built:
    """A bundle without its host, and what it was made of besides the hosts that its clauses name."""

    bundle: Bundle
    lines: tuple[Line, ...]
    named: frozenset[str]
    is_about_all: bool


class Resolver:
    """Resolves policies over one inventory after another; only what a change of hosts concerns is built anew."""

    def __init__(self, policies: Iterable[Policy]) -> None:
        self._policies = tuple(
            sorted(policies, key=lambda policy: (policy.name.text, policy.name.where))
        )
        self._inventory = Inventory({})
        self._built: dict[object, Built] = {}
        self._made: dict[str, tuple[Built, Bundle]] = {}

    def resolve(self, inventory: Inventory) -> dict[str, Bundle]:
        """As the function `resolve`."""
        problems = Problems()
        inventory = _with_known(inventory, self._inventory)
        selection = Selection(inventory, problems)
        refuse_twins(self._policies, problems)
        subjects = {policy.name: selection.select(policy.subjects) for policy in self._policies}
        lines = {
            policy.name.text: [as_line(policy, rule, selection) for rule in policy.rules]
            for policy in self._policies
        }
        every_line = list(chain.from_iterable(lines.values()))
        applied = _applied(self._policies, subjects, inventory)
        refuse_unaddressed(every_line, inventory, problems)
        refuse_unknown_places(every_line, subjects, inventory, problems)
        problems.raise_any()
        changed = _changed(self._inventory, inventory)
        self._inventory, before, self._built = inventory, self._built, {}
        return self._bundles(
            applied, lines, {k: b for k, b in before.items() if _outlasts(b, changed)}
        )

    def _bundles(
        self,
        applied: Mapping[str, Policies],
        lines: Mapping[str, list[Line]],
        before: Mapping[object, Built],
    ) -> dict[str, Bundle]:
        """Hosts under the same policies, with the same addresses for the entities in them, share all but their name,
        so each combination is resolved once.
        """
        bundles: dict[str, Bundle] = {}
        combinations: dict[tuple[str, ...], tuple[list[Line], list[Entity]]] = {}
        for name, policies in applied.items():
            names = tuple(policy.name.text for policy in policies)
            if names not in combinations:
                mine = [line for n in names for line in lines[n]]
                combinations[names] = mine, local_entities(mine)
            mine, entities = combinations[names]
            places = places_of(entities, self._inventory.hosts[name])
            key = names, tuple(places.items())
            if key not in self._built:
                placed = tuple(at(line, places) for line in mine)
                known = before.get(key)
                if known is None or known.lines != placed:
                    known = _build(policies, placed, self._inventory)
                self._built[key] = known
            bundles[name] = self._made_out(name, self._built[key])
        return bundles

    def _made_out(self, host: str, built: Built) -> Bundle:
        """The bundle under the name of a host: the very one as before, where nothing changed."""
        known = self._made.get(host)
        if known is None or known[0] is not built:
            known = self._made[host] = built, replace(built.bundle, host=host)
        return known[1]


def _applied(
    policies: Policies, subjects: Mapping[Word, Names], inventory: Inventory
) -> dict[str, Policies]:
    """The policies of each host, in order of their names."""
    found: dict[str, list[Policy]] = {name: [] for name in inventory.hosts}
    for policy in policies:
        for name in subjects[policy.name]:
            found[name].append(policy)
    return {name: tuple(mine) for name, mine in found.items()}


def _with_known(inventory: Inventory, before: Inventory) -> Inventory:
    """Hosts that are as they were are the very ones, with all that was found out about them."""
    pairs = ((host, before.hosts.get(name)) for name, host in inventory.hosts.items())
    return Inventory({host.name: known if host == known else host for host, known in pairs})


def _changed(before: Inventory, inventory: Inventory) -> frozenset[str] | None:
    """The hosts that are not as they were; None where that changes how everybody is called."""
    if not before.hosts or before.shared_groups != inventory.shared_groups:
        return None
    names = before.hosts.keys() | inventory.hosts.keys()
    return frozenset(n for n in names if before.hosts.get(n) is not inventory.hosts.get(n))


def _outlasts(built: Built, changed: frozenset[str] | None) -> bool:
    """Whether a bundle stays as it is, if its rules name the same hosts as before."""
    if changed is None or (changed and built.is_about_all):
        return False
    return built.named.isdisjoint(changed)


def _build(policies: Policies, lines: tuple[Line, ...], inventory: Inventory) -> Built:
    clauses = [clause for line in lines for clause in line.clauses]
    bundle = _bundle(policies, lines, inventory)
    return Built(bundle, lines, named_hosts(clauses), is_about_all(clauses))


def _bundle(policies: Policies, lines: Collection[Line], inventory: Inventory) -> Bundle:
    if not policies:
        return NO_POLICY
    peers = find_peers([clause for line in lines for clause in line.clauses], inventory)
    mode = Mode.PROTECT if any(p.mode is Mode.PROTECT for p in policies) else Mode.MONITOR
    defaults = {way: _decisive(policies, way) for way in ("ingress", "egress", "forward")}
    actions = {way: _default_of(policy, way) for way, policy in defaults.items()}
    return Bundle(
        host="",
        mode=mode,
        default_ingress=actions["ingress"],
        default_egress=actions["egress"],
        identities=peers.identities(inventory),
        endpoints=peers.endpoints,
        rules=tuple(_rule(line, peers, mode) for line in sorted(lines, key=_precedence)),
        default_source=(defaults["ingress"].name.text, defaults["egress"].name.text),
        default_forward=actions["forward"],
        forward_source=defaults["forward"].name.text if actions["forward"] is Action.DENY else "",
        audited_defaults=frozenset(
            way
            for way, policy in defaults.items()
            if actions[way] is Action.DENY and policy.mode is not mode
        ),
    )


def _decisive(policies: Policies, way: str) -> Policy:
    """The policy whose default holds: a deny that is enforced beats one that is audited, and that an allow; of equals,
    the first policy by name."""
    denying = [policy for policy in policies if _default_of(policy, way) is Action.DENY]
    enforcing = [policy for policy in denying if policy.mode is Mode.PROTECT]
    return (enforcing or denying or list(policies))[0]


def _default_of(policy: Policy, way: str) -> Action:
    return {
        "ingress": policy.default_ingress,
        "egress": policy.default_egress,
        "forward": policy.default_forward,
    }[way]


def _precedence(line: Line) -> tuple[int, bool, str]:
    return TIERS.index(line.policy.tier), line.rule.action is Action.ALLOW, line.uid


def _rule(line: Line, peers: Peers, mode: Mode) -> Rule:
    """As a host whose policies come to that mode sees it."""
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
        audits=line.policy.mode is not mode,
    )
