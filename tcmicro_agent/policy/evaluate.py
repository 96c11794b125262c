"""What a bundle means, in the plainest words: the oracle that `explain` shows and the kernel is tested against."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_network
from typing import Union

from tcmicro_agent.policy.model import (
    WORLD,
    Action,
    Bundle,
    Direction,
    Identity,
    Protocol,
    Rule,
)

Address = Union[IPv4Address, IPv6Address]


class Reason(Enum):
    """Why a new flow is allowed or refused; values are names in `enum tcm_reason`."""

    RULE_ALLOW = "rule_allow"
    RULE_DENY = "rule_deny"
    DEFAULT_ALLOW = "default_allow"
    DEFAULT_DENY = "default_deny"


@dataclass(frozen=True)
class NewFlow:
    """A flow's first packet: `protocol` as IP number (ICMPv6 counts as ICMP), `port` of its destination; of ICMP, type
    and code as in `Service`.
    """

    direction: Direction
    peer: Address
    protocol: int
    port: int = 0


@dataclass(frozen=True)
class Verdict:
    action: Action
    reason: Reason
    identity: Identity
    rule: str  # uid of the rule, or "" for the default
    audited: bool = False  # denied by policies in mode monitor alone: counted, and passes


PING = {4: 8 << 8, 6: 128 << 8}  # the port of an echo request, by IP version
NUMBERS = {Protocol.ICMP: 1, Protocol.TCP: 6, Protocol.UDP: 17, Protocol.SCTP: 132}


def evaluate(bundle: Bundle, flow: NewFlow) -> Verdict:
    """The verdict on a new flow: the first rule that matches decides, else the default of the direction.

    Where some rules only audit, the others decide by themselves first, and what they deny is denied. Of what they
    allow, all rules together say whether it is audited: whether it would be denied if every rule enforced.
    """
    identity = identify(bundle, flow.peer)
    matching = (rule for rule in bundle.rules if _matches(rule, flow, identity))
    first = next(matching, None)
    enforcing = first if first is None or not first.audits else _enforcing(matching)
    if enforcing is None and enforces_default_deny(bundle, flow.direction):
        return _by_default(bundle, flow.direction, identity)
    if first is None:
        return _by_default(bundle, flow.direction, identity)
    if enforcing is None or (first.action is Action.DENY and enforcing.action is Action.ALLOW):
        return _by_rule(first, identity)
    return _by_rule(enforcing, identity)


def enforces_default_deny(bundle: Bundle, direction: Direction) -> bool:
    audited = direction.value in bundle.audited_defaults
    return bundle.default(direction) is Action.DENY and not audited


def _enforcing(rules: Iterator[Rule]) -> Rule | None:
    return next((rule for rule in rules if not rule.audits), None)


def _by_rule(rule: Rule, identity: Identity) -> Verdict:
    allowed = rule.action is Action.ALLOW
    reason = Reason.RULE_ALLOW if allowed else Reason.RULE_DENY
    return Verdict(rule.action, reason, identity, rule.uid, rule.audits and not allowed)


def _by_default(bundle: Bundle, direction: Direction, identity: Identity) -> Verdict:
    default = bundle.default(direction)
    reason = Reason.DEFAULT_ALLOW if default is Action.ALLOW else Reason.DEFAULT_DENY
    return Verdict(default, reason, identity, "", direction.value in bundle.audited_defaults)


def identify(bundle: Bundle, address: Address) -> Identity:
    """The identity of the longest endpoint that holds the address, else world."""
    found = (n for n in _networks_around(address) if n in bundle.endpoints)
    return bundle.endpoints.get(next(found, ""), WORLD)


@lru_cache(maxsize=256)
def _networks_around(address: Address) -> tuple[str, ...]:
    """Every network that holds the address, the smallest first."""
    lengths = range(address.max_prefixlen, -1, -1)
    return tuple(str(ip_network((address, length), strict=False)) for length in lengths)


def _matches(rule: Rule, flow: NewFlow, identity: Identity) -> bool:
    if rule.direction is not flow.direction:
        return False
    if not rule.any_peer and identity not in rule.identities:
        return False
    return any(
        service.protocol is Protocol.ANY
        or (
            NUMBERS[service.protocol] == flow.protocol
            and service.first <= flow.port <= service.last
        )
        for service in rule.services
    )
