"""What the checks look at: policies, whom they select, and the hosts by what they enforce."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from ipaddress import ip_network

from tcmicro_agent.policy.compile import Group, compile_bundle
from tcmicro_agent.policy.intent import HostSelector, Policy, PolicyRule
from tcmicro_agent.policy.inventory import Address, Inventory
from tcmicro_agent.policy.model import ALWAYS, WORLD, Bundle, Direction, Network, Rule
from tcmicro_agent.policy.networks import Nesting
from tcmicro_agent.policy.problems import Problems
from tcmicro_agent.policy.selection import Names, Selection
from tcmicro_agent.policy.windows import has_times, in_force

SHOWN_HOSTS = 3


@dataclass(frozen=True)
class Limits:
    """What a host's tables hold over all slots, from where the controller connects to port `ssh` besides what the
    inventory says of it, and the time in seconds since 1970."""

    hosts: int
    rules: int
    counters: int
    controllers: tuple[Address, ...] = ()
    ssh: int = 22
    now: int = 0


@dataclass(eq=False)
class Kind:
    """Hosts that enforce the same, but for their name."""

    bundle: Bundle
    hosts: list[str] = field(default_factory=list)

    @cached_property
    def groups(self) -> tuple[Group, ...]:
        return compile_bundle(self.bundle)

    @cached_property
    def lasting(self) -> tuple[Group, ...]:
        """Of the rules alone that hold at any time, as if all of them enforced."""
        if not has_times(self.bundle) and not self.bundle.monitoring:
            return self.groups
        rules = tuple(rule for rule in self.bundle.rules if rule.window == ALWAYS)
        return _compiled(self.bundle, rules)

    @cached_property
    def enforced(self) -> tuple[Group, ...]:
        """The same of those alone that do enforce."""
        rules = tuple(r for r in self.bundle.rules if r.window == ALWAYS and not r.audits)
        return _compiled(self.bundle, rules)

    def identity(self, network: Network, text: str) -> int:
        """Of a host's address, which is also given as `str(network)`. As `evaluate.identify`, for many."""
        found = self.bundle.endpoints.get(text)
        if found is not None:
            return found
        around = self._wide.around(network)
        return self.bundle.endpoints[str(around[-1])] if around else WORLD

    @cached_property
    def _wide(self) -> Nesting:
        """The endpoints that hold more than one address."""
        single = ("/32", "/128")
        texts = (n for n in self.bundle.endpoints if not n.endswith(single[":" in n]))
        return Nesting(map(ip_network, texts))

    @cached_property
    def rules(self) -> dict[Direction, list[tuple[Rule, frozenset[int]]]]:
        """Those that do not audit in order of precedence, each with its identities."""
        rules = (rule for rule in self.bundle.rules if not rule.audits)
        pairs = [(rule, frozenset[int](rule.identities)) for rule in rules]
        return {d: [pair for pair in pairs if pair[0].direction is d] for d in Direction}


class Scene:
    """Policies over an inventory, and what became of them."""

    def __init__(
        self,
        policies: Sequence[Policy],
        inventory: Inventory,
        bundles: Mapping[str, Bundle],
        limits: Limits,
    ) -> None:
        self.policies = policies
        self.inventory = inventory
        self.limits = limits
        self._selection = Selection(inventory, Problems())
        self._selected: dict[HostSelector, Names] = {}
        self.kinds = _kinds(bundles, limits.now)
        self.kind_of = {host: kind for kind in self.kinds for host in kind.hosts}

    @cached_property
    def named(self) -> dict[str, Policy]:
        return {policy.name.text: policy for policy in self.policies}

    @cached_property
    def by_uid(self) -> dict[str, PolicyRule]:
        return {uid(policy, rule): rule for policy, rule in self.all_rules()}

    @cached_property
    def places(self) -> dict[str, list[tuple[Network, str]]]:
        """The addresses of each host, as values and as bundles write them."""
        hosts = self.inventory.hosts.values()
        return {host.name: [(n, str(n)) for n in host.networks] for host in hosts}

    def all_rules(self) -> Iterator[tuple[Policy, PolicyRule]]:
        return ((policy, rule) for policy in self.policies for rule in policy.rules)

    def select(self, selector: HostSelector) -> Names:
        if selector not in self._selected:
            self._selected[selector] = self._selection.select(selector)
        return self._selected[selector]


def _compiled(bundle: Bundle, rules: Iterable[Rule]) -> tuple[Group, ...]:
    """As if all of the rules enforced."""
    alike = tuple(replace(rule, audits=False) for rule in rules)
    return compile_bundle(replace(bundle, rules=alike))


def _kinds(bundles: Mapping[str, Bundle], now: int) -> tuple[Kind, ...]:
    """Bundles that share their parts are of one kind; `resolve` makes each distinct part once. Of each, the rules
    that are in force."""
    kinds: dict[tuple[object, ...], Kind] = {}
    for host, bundle in bundles.items():
        defaults = (bundle.default_ingress, bundle.default_egress, *bundle.default_source)
        audits = bundle.audited_defaults
        key = (id(bundle.rules), id(bundle.endpoints), bundle.mode, *defaults, audits)
        if key not in kinds:
            kinds[key] = Kind(in_force(bundle, now))
        kinds[key].hosts.append(host)
    return tuple(kinds.values())


def uid(policy: Policy, rule: PolicyRule) -> str:
    """As bundles name the rule."""
    return f"{policy.name.text}/{rule.id.text}"


def listed(names: Iterable[object]) -> str:
    """A few names and how many more there are."""
    ordered = sorted(map(str, names))
    more = len(ordered) - SHOWN_HOSTS
    return ", ".join(ordered[:SHOWN_HOSTS]) + (f" and {more} more" if more > 0 else "")
