# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which new connections show that a policy does what it says: chosen from its bundle, for one controller. Pure.

What the policy allows the controller besides ssh is tried first. Where it allows nothing of that kind, one port it refuses
is: the host hears of the refusal, and decides whether that is enough.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from ipaddress import ip_address
from typing import Any

from tcmicro_agent.policy import bundle as bundles
from tcmicro_agent.policy import windows
from tcmicro_agent.policy.evaluate import NUMBERS, Address, NewFlow, evaluate, identify
from tcmicro_agent.policy.model import Action, Bundle, Direction, Protocol, Rule, Service

MOST = 3
UNLIKELY = range(20011, 65536, 911)  # ports that few services have


@dataclass(frozen=True)
class Target:
    """Where to knock, and what the policy says to that."""

    protocol: str  # tcp or udp
    port: int
    expected: str  # allow or deny

    def to_document(self) -> dict[str, Any]:
        return asdict(self)


def choose_probes(bundle: Bundle, controller: str, ssh_port: int, now: float) -> tuple[Target, ...]:
    """Up to MOST services that the bundle allows that controller at that time; else one port that it refuses."""
    peer, in_force = ip_address(controller), windows.in_force(bundle, now)
    allowed: dict[Target, None] = {}
    for service in _offered(in_force, peer):
        if (service.protocol, service.first) != (Protocol.TCP, ssh_port):
            allowed[Target(service.protocol.value, service.first, "allow")] = None
        if len(allowed) == MOST:
            break
    if allowed:
        return tuple(allowed)
    refused = (port for port in UNLIKELY if not _allows(in_force, peer, Protocol.TCP, port))
    return tuple(Target("tcp", port, "deny") for port in refused)[:1]


def _offered(bundle: Bundle, peer: Address) -> Iterator[Service]:
    """Services that rules, or the default, allow that peer; of each range one port."""
    identity = identify(bundle, peer)
    for rule in bundle.rules:
        ours = rule.any_peer or identity in rule.identities
        if ours and rule.direction is Direction.INGRESS and rule.action is Action.ALLOW:
            yield from _ports(bundle, rule, peer)
    if bundle.default_ingress is Action.ALLOW:
        ports = (port for port in UNLIKELY if _allows(bundle, peer, Protocol.TCP, port))
        yield from (Service(Protocol.TCP, port, port) for port in list(ports)[:1])


def _ports(bundle: Bundle, rule: Rule, peer: Address) -> Iterator[Service]:
    for service in rule.services:
        any_protocol = service.protocol is Protocol.ANY
        protocol = Protocol.TCP if any_protocol else service.protocol
        port = UNLIKELY[0] if service.first == 0 and service.last == 65535 else service.first
        if protocol in (Protocol.TCP, Protocol.UDP) and _allows(bundle, peer, protocol, port):
            yield Service(protocol, port, port)


def _allows(bundle: Bundle, peer: Address, protocol: Protocol, port: int) -> bool:
    flow = NewFlow(Direction.INGRESS, peer, NUMBERS[protocol], port)
    return evaluate(bundle, flow).action is Action.ALLOW


def read(document: str, source: str) -> Bundle:
    """The bundle in a text, verified."""
    return bundles.load(document.encode(), source)
