"""What has to be shown before a policy is kept: that whoever confirms came in over a new connection, and that a flow
which the policy itself judged was seen by this host. ssh alone shows neither: it may ride an old connection, and the
failsafe keeps it open whatever the policy says. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from ipaddress import ip_address
from typing import Any

from tcmicro_agent.config import Failsafe
from tcmicro_agent.errors import BundleError
from tcmicro_agent.jsonutil import Reader, read
from tcmicro_agent.policy.evaluate import NUMBERS, Address
from tcmicro_agent.policy.model import Action, Bundle, Direction, Protocol, Rule
from tcmicro_agent.question import Question, keeps_open

LATEST_S = 2  # before the deadline: what is confirmed later than that may be late when the kernel hears of it
ANY = ip_address("0.0.0.0")
NAMES = {"tcp": Protocol.TCP, "udp": Protocol.UDP}


class Requirement(Enum):
    """Of a confirmation: nothing, a new ssh connection, or that and a flow that the policy judged."""

    NONE = "none"
    SSH = "ssh"
    REQUIRED = "required"


@dataclass(frozen=True)
class Probe:
    """One new connection that was tried after the policy went live, as its maker tells it. `outcome` (answered,
    refused, timeout, sent, or an error) is for people: what counts is what this host saw of it."""

    source: Address
    source_port: int
    destination: Address
    port: int
    protocol: int  # IP number
    started_at: str
    outcome: str

    def __str__(self) -> str:
        name = next(n for n, protocol in NAMES.items() if NUMBERS[protocol] == self.protocol)
        return f"{self.source} to {name}/{self.port} ({self.outcome})"


@dataclass(frozen=True)
class Connection:
    """The ssh connection that a command came by; `born_ms`: when its server process began, in ms since boot."""

    peer: Address
    peer_port: int
    local: Address
    port: int
    born_ms: int

    def to_document(self) -> dict[str, Any]:
        ends = {"peer": str(self.peer), "local": str(self.local)}
        return {**ends, "peer_port": self.peer_port, "port": self.port}


@dataclass(frozen=True)
class Sighting:
    """What the datapath of this host made of a probe under one generation: None, it was not seen."""

    probe: Probe
    verdict: Action | None


def parse(document: object) -> tuple[Probe, ...]:
    """`{"probes": [{source, source_port, destination, port, protocol, started_at, outcome}]}`; raises BundleError."""
    return read(document, _read, BundleError)


def _read(doc: Reader) -> tuple[Probe, ...]:
    return tuple(map(_read_probe, doc.get_objects("probes")))


def _read_probe(item: Reader) -> Probe:
    return Probe(
        source=item.get_value("source", ip_address, ANY),
        source_port=item.get_int("source_port", 1, 65535, "port"),
        destination=item.get_value("destination", ip_address, ANY),
        port=item.get_int("port", 0, 65535, "port"),
        protocol=item.get_value("protocol", _protocol, NUMBERS[Protocol.TCP]),
        started_at=item.get_str("started_at"),
        outcome=item.get_str("outcome"),
    )


def _protocol(text: str) -> int:
    if text not in NAMES:
        raise ValueError(f"{text!r} cannot be probed: {', '.join(NAMES)}")
    return NUMBERS[NAMES[text]]


def fault_of_connection(connection: Connection | None, flipped_ms: int) -> str:
    """Why the connection shows nothing about the policy, "" when it does."""
    if connection is None:
        return "this command did not come by ssh"
    if not flipped_ms:
        return "the command that made it live was cut before it had seen it rule"
    if connection.born_ms <= flipped_ms:
        age = (flipped_ms - connection.born_ms) / 1000
        peer = f"{connection.peer} port {connection.peer_port}"
        return f"the ssh connection of {peer} is {age:.1f} s older than the policy"
    return ""


def is_failsafe(probe: Probe, failsafe: Iterable[Failsafe]) -> bool:
    """Whether it passes whatever policy says, so that it tells nothing about one."""
    asked = Question(Direction.INGRESS, probe.source, probe.protocol, probe.port)
    return any(keeps_open(entry, asked) for entry in failsafe)


def fault_of_probes(sightings: Iterable[Sighting], *, cut_off: bool) -> str:
    """Why these probes do not show that the policy does what it says, "" when they do. `cut_off`: a refusal shows
    nothing, for the policy refuses everything to everybody."""
    seen = [s for s in sightings if s.verdict]
    if any(s.verdict is Action.ALLOW or not cut_off for s in seen):
        return ""
    if seen:
        return f"it lets nobody in: {seen[0].probe} was refused, and nothing but the failsafe works"
    tried = "; ".join(str(s.probe) for s in sightings)
    return f"no flow that it judged was seen here, of {tried or 'none that were tried'}"


def cuts_off(before: Bundle | None, after: Bundle, failsafe: Iterable[Failsafe]) -> bool:
    """Whether nobody gets in any more, but for what the failsafe keeps open: not under `after`, though under `before`
    somebody did; or nothing is opened in either direction."""
    spared = [(entry.protocol, entry.port) for entry in failsafe]
    ways = {way: _opens(after, way, spared) for way in Direction}
    if not any(ways.values()):
        return True
    did = before is not None and _opens(before, Direction.INGRESS, spared)
    return did and not ways[Direction.INGRESS]


def _opens(bundle: Bundle, way: Direction, spared: list[tuple[Protocol, int]]) -> bool:
    """By the rules in order of precedence: what stands below one that refuses everything to everybody opens nothing."""
    for rule in bundle.rules:
        if rule.direction is way and rule.action is Action.ALLOW and _serves(rule, spared):
            return True
        if rule.direction is way and _refuses_all(rule):
            return False
    return bundle.default(way) is Action.ALLOW or way.value in bundle.audited_defaults


def _refuses_all(rule: Rule) -> bool:
    everything = any(s.protocol is Protocol.ANY for s in rule.services)
    return rule.action is Action.DENY and rule.any_peer and everything and not rule.audits


def _serves(rule: Rule, spared: list[tuple[Protocol, int]]) -> bool:
    """Whether it opens more than pings and what the failsafe keeps open anyway."""
    return any(
        service.protocol is not Protocol.ICMP
        and not (service.first == service.last and (service.protocol, service.first) in spared)
        for service in rule.services
    )
