"""Values of the policy language: the bundle that one host enforces and the parts it is made of.

Policies as people write them live in `source.py`; here is what resolving them yields. A Bundle is immutable,
whole for one host and named by the sha256 of its canonical JSON (`bundle.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from ipaddress import IPv4Network, IPv6Network
from typing import NewType, Union

Identity = NewType("Identity", int)
WORLD = Identity(0)

Network = Union[IPv4Network, IPv6Network]

BUNDLE_SCHEMA = 2
SOURCES_INSIDE = (
    1  # the schema whose digest covers the sources of rules too; hosts may keep such bundles
)


class Direction(Enum):
    """Seen from the subject: ingress is a peer opening a flow to us."""

    INGRESS = "ingress"
    EGRESS = "egress"


class Action(Enum):
    ALLOW = "allow"
    DENY = "deny"


class Mode(Enum):
    """monitor counts and lets pass, protect drops; `effective mode = min(host ceiling, policy mode)`."""

    MONITOR = "monitor"
    PROTECT = "protect"


class Protocol(Enum):
    """`icmp` names both ICMP and ICMPv6; `any` every IP protocol."""

    ANY = "any"
    TCP = "tcp"
    UDP = "udp"
    SCTP = "sctp"
    ICMP = "icmp"


class Log(Enum):
    """Which decisions of a rule are told as events."""

    NONE = "none"
    DENY = "deny"
    ALL = "all"


@dataclass(frozen=True)
class Window:
    """When a rule is in force: from `start` and before `end`, in seconds since 1970 (UTC); None is unbounded."""

    start: int | None = None
    end: int | None = None


ALWAYS = Window()


@dataclass(frozen=True)
class Service:
    """A protocol and an inclusive range of destination ports; `any` spans 0-65535.

    The port of ICMP is type * 256 + code of the message that opens the flow. ICMPv6 uses types from 128 on and ICMP
    those below, so one number means one of them.
    """

    protocol: Protocol
    first: int = 0
    last: int = 65535

    def __str__(self) -> str:
        """As in a policy: `tcp/80`, `icmp/8`, `icmp6/128`."""
        name, first, last = self.protocol.value, self.first, self.last
        if (first, last) == (0, 65535):
            return name
        if self.protocol is Protocol.ICMP and (first & 0xFF, last) == (0, first | 0xFF):
            return f"{name}{'6' if first >> 15 else ''}/{first >> 8}"
        return f"{name}/{first}" if first == last else f"{name}/{first}-{last}"


@dataclass(frozen=True)
class IdentityInfo:
    """One distinct set of groups, labels and covering policy CIDRs; `number` is local to its bundle, from 1."""

    number: Identity
    name: str
    groups: tuple[str, ...] = ()
    labels: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Rule:
    """One line of policy as one host sees it. `identities` empty and `any_peer` true: everybody, the world too."""

    uid: str  # "<policy>/<rule id>", stable across generations
    direction: Direction
    action: Action
    services: tuple[Service, ...]
    identities: tuple[Identity, ...]
    any_peer: bool
    tier: str
    source: str = field(compare=False)  # file:line of the rule, for people; no part of the digest
    window: Window = ALWAYS
    log: Log = Log.DENY
    audits: bool = False  # its policy is in mode monitor, and others on the host enforce


@dataclass(frozen=True)
class Bundle:
    """Everything one host needs to enforce. `rules` are in order of precedence: the first match decides, but for those
    that audit (`evaluate.py`). A bundle of mode monitor has none of these: there nothing is enforced.
    """

    host: str
    mode: Mode
    default_ingress: Action
    default_egress: Action
    identities: tuple[IdentityInfo, ...]
    endpoints: Mapping[
        str, Identity
    ]  # by network as `str(ip_network(…))`; the longest prefix decides
    rules: tuple[Rule, ...]
    default_source: tuple[
        str, str
    ]  # per direction: uid of the policy whose default applies ("" = none)
    default_forward: Action = Action.ALLOW  # for what is routed through the host
    forward_source: str = ""
    schema: int = BUNDLE_SCHEMA  # that it is written in
    audited_defaults: frozenset[str] = (
        frozenset()
    )  # of "ingress", "egress", "forward": those that deny by policies in mode monitor alone

    def default(self, direction: Direction) -> Action:
        return self.default_ingress if direction is Direction.INGRESS else self.default_egress

    def mode_of(self, rule: Rule) -> Mode:
        """monitor: what the rule denies is counted and passes."""
        return Mode.MONITOR if rule.audits else self.mode

    def default_mode(self, direction: str) -> Mode:
        return Mode.MONITOR if direction in self.audited_defaults else self.mode

    @property
    def monitoring(self) -> tuple[str, ...]:
        """The policies in mode monitor that say anything here, where others enforce."""
        defaults = {"forward": self.forward_source}
        defaults.update(zip(("ingress", "egress"), self.default_source))
        found = {rule.uid.partition("/")[0] for rule in self.rules if rule.audits}
        return tuple(sorted(found.union(defaults[way] for way in self.audited_defaults)))
