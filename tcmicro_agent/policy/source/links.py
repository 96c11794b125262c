"""Rules and the sets they name: the networks and services of a set are put where its name stands."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TypeVar, Union

from tcmicro_agent.jsonutil import did_you_mean, show
from tcmicro_agent.policy.codes import Code
from tcmicro_agent.policy.intent import (
    AddressSet,
    Cidrs,
    Documents,
    Peer,
    Policy,
    PolicyRule,
    PolicyTest,
    PortSet,
    Word,
)
from tcmicro_agent.policy.model import Network
from tcmicro_agent.policy.problems import Problems

Named = Union[AddressSet, PortSet, PolicyTest]
N = TypeVar("N", AddressSet, PortSet, PolicyTest)
T = TypeVar("T")


@dataclass(frozen=True)
class Sets:
    """The sets of all documents by name."""

    addresses: Mapping[str, AddressSet]
    ports: Mapping[str, PortSet]
    problems: Problems

    def networks(self, names: Iterable[Word]) -> Iterator[Network]:
        for word in names:
            if self._knows("AddressSet", self.addresses, word):
                yield from self.addresses[word.text].networks

    def rule(self, rule: PolicyRule) -> PolicyRule:
        found = [
            self.ports[w.text] for w in rule.port_sets if self._knows("PortSet", self.ports, w)
        ]
        services = (*rule.services, *(s for ports in found for s in ports.services))
        return replace(rule, peers=tuple(map(self._peer, rule.peers)), services=_once(services))

    def _peer(self, peer: Peer) -> Peer:
        if not isinstance(peer, Cidrs):
            return peer
        networks = _once((*peer.networks, *self.networks(peer.sets)))
        if all(word.text in self.addresses for word in peer.sets):
            self._check_excluded(peer, networks)
        taken = (n for n in self.networks(peer.excluded_sets) if any(map(n.overlaps, networks)))
        excluded = _once((*peer.excluded, *taken))
        return replace(peer, networks=networks, excluded=excluded)

    def _check_excluded(self, peer: Cidrs, networks: tuple[Network, ...]) -> None:
        """What is taken away must have been there, or somebody is mistaken about one of the two."""
        for network in peer.excluded:
            if not any(_inside(network, wide) for wide in networks):
                text = f"{network} lies in none of the cidrs, or is all of one"
                self.problems.add(peer.except_where or peer.where, Code.CIDR, text)
        for word in peer.excluded_sets:
            if word.text in self.addresses and not any(
                _inside(network, wide)
                for network in self.addresses[word.text].networks
                for wide in networks
            ):
                text = f"nothing of set {show(word.text)} lies in the cidrs"
                self.problems.add(word.where, Code.CIDR, text)

    def _knows(self, kind: str, known: Mapping[str, object], word: Word) -> bool:
        if word.text in known:
            return True
        text = f"there is no {kind} {show(word.text)}{did_you_mean(word.text, sorted(known))}"
        self.problems.add(word.where, Code.UNKNOWN_SET, text)
        return False


def link(found: Documents, problems: Problems) -> Documents:
    """The documents with every set looked up; policies of one name are refused when they are resolved."""
    sets = Sets(
        _by_name("AddressSet", found.address_sets, problems),
        _by_name("PortSet", found.port_sets, problems),
        problems,
    )
    _by_name("PolicyTest", found.tests, problems)
    return replace(found, policies=tuple(_policy(policy, sets) for policy in found.policies))


def _policy(policy: Policy, sets: Sets) -> Policy:
    return replace(policy, rules=tuple(map(sets.rule, policy.rules)))


def _by_name(kind: str, documents: Iterable[N], problems: Problems) -> dict[str, N]:
    known: dict[str, N] = {}
    for document in documents:
        first = known.setdefault(document.name.text, document)
        if first is not document and document.name.text:
            text = f"{kind} {show(document.name.text)} exists already at {first.name.where}"
            problems.add(document.name.where, Code.DUPLICATE_NAME, text)
    return known


def _once(values: Iterable[T]) -> tuple[T, ...]:
    return tuple(dict.fromkeys(values))


def _inside(network: Network, wide: Network) -> bool:
    if network.version != wide.version or network == wide:
        return False
    return network.subnet_of(wide)  # type: ignore[arg-type]  # one version, see above
