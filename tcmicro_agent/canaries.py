"""Flows whose verdict is known, to ask the kernel about: some that a policy refuses and some that it allows. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import ip_address, ip_network

from tcmicro_agent import question
from tcmicro_agent.config import Failsafe
from tcmicro_agent.policy.evaluate import NUMBERS, Address
from tcmicro_agent.policy.model import Action, Bundle, Direction, Identity, Protocol, Rule
from tcmicro_agent.question import Opinion, Question

# Of no host on earth (RFC 5737, RFC 3849), and a port that nobody serves.
STRANGERS = (ip_address("192.0.2.1"), ip_address("2001:db8::1"))
NOBODYS_PORT = 1
ASKABLE = {Protocol.ANY: Protocol.TCP, Protocol.TCP: Protocol.TCP, Protocol.UDP: Protocol.UDP}


@dataclass(frozen=True)
class Canary:
    """A question, the first packet of its flow, and what the kernel has to say of it."""

    asked: Question
    packet: bytes
    expected: Opinion

    def __str__(self) -> str:
        names = {number: protocol.value for protocol, number in NUMBERS.items()}
        service = f"{names[self.asked.protocol]}/{self.asked.port}"
        return f"{self.asked.direction.value} {self.asked.peer} {service}"


def canaries(bundle: Bundle, failsafe: Iterable[Failsafe]) -> tuple[Canary, ...]:
    """At most five per direction: two strangers, the first refusing and the first allowing rule, the first failsafe."""
    kept = tuple(failsafe)
    asked = dict.fromkeys(
        one for direction in Direction for one in _questions(bundle, kept, direction)
    )
    return tuple(
        Canary(one, question.packet(one), question.model(one, bundle, kept)) for one in asked
    )


def _questions(
    bundle: Bundle, failsafe: tuple[Failsafe, ...], direction: Direction
) -> Iterator[Question]:
    for stranger in STRANGERS:
        yield Question(direction, stranger, NUMBERS[Protocol.TCP], NOBODYS_PORT)
    for action in Action:
        rules = (r for r in bundle.rules if (r.direction, r.action) == (direction, action))
        yield from _first(_of_rule(bundle, rule) for rule in rules)
    of_failsafe = (entry for entry in failsafe if entry.direction is direction)
    yield from _first(_of_failsafe(entry) for entry in of_failsafe)


def _first(found: Iterable[Question | None]) -> Iterator[Question]:
    one = next(filter(None, found), None)
    if one:
        yield one


def _of_rule(bundle: Bundle, rule: Rule) -> Question | None:
    """A flow that the rule names; None where it names no address of the bundle, or no protocol with ports."""
    peer = STRANGERS[0] if rule.any_peer else _address_of(bundle, rule.identities)
    service = next((one for one in rule.services if one.protocol in ASKABLE), None)
    if peer is None or service is None:
        return None
    return Question(rule.direction, peer, NUMBERS[ASKABLE[service.protocol]], service.first)


def _address_of(bundle: Bundle, identities: Iterable[Identity]) -> Address | None:
    wanted = set(identities)
    found = (network for network, identity in bundle.endpoints.items() if identity in wanted)
    network = next(found, None)
    return ip_network(network).network_address if network else None


def _of_failsafe(entry: Failsafe) -> Question | None:
    if entry.protocol not in ASKABLE:
        return None
    strangers = (one for one in STRANGERS if one in entry.network)
    peer = next(strangers, entry.network.network_address)
    return Question(entry.direction, peer, NUMBERS[entry.protocol], entry.port)
