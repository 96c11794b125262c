"""Values of documents as people write them, every word with its place; `resolve.py` makes bundles of policies."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Union

from tcmicro_agent.policy.model import (
    ALWAYS,
    Action,
    Direction,
    Log,
    Mode,
    Network,
    Service,
    Window,
)
from tcmicro_agent.policy.problems import Where


class Tier(Enum):
    """In order of precedence. `system` (the failsafe) stands above all and cannot be written."""

    QUARANTINE = "quarantine"
    PLATFORM = "platform"
    APP = "app"
    BASELINE = "baseline"


@dataclass(frozen=True)
class Word:
    """A name somebody wrote, and where."""

    text: str
    where: Where


@dataclass(frozen=True)
class About:
    """What is said about a document or a rule for people; it changes nothing."""

    owner: str = ""
    ticket: str = ""
    description: str = ""


NOTHING = About()


@dataclass(frozen=True)
class HostSelector:
    """Hosts that are in any of the groups, have all the labels and are among the hosts; what is empty selects all."""

    where: Where
    groups: tuple[Word, ...] = ()
    labels: tuple[tuple[Word, Word], ...] = ()
    hosts: tuple[Word, ...] = ()
    except_hosts: tuple[Word, ...] = ()


@dataclass(frozen=True)
class Cidrs:
    """Addresses inside any of `networks` and none of `excluded`, those of the named sets among them."""

    where: Where
    networks: tuple[Network, ...]
    excluded: tuple[Network, ...] = ()
    sets: tuple[Word, ...] = ()
    excluded_sets: tuple[Word, ...] = ()
    except_where: Where | None = None


@dataclass(frozen=True)
class Anyone:
    """Every address there is."""

    where: Where


class Entity(Enum):
    """Peers that need no selector. What the last three mean is looked up for each host that enforces the rule."""

    ANY = "any"
    WORLD = "world"  # every address that is no host of the inventory
    FLEET = "fleet"  # every host of the inventory
    SELF = "self"
    CONTROLLER = "controller"
    RESOLVERS = "resolvers"


@dataclass(frozen=True)
class Known:
    """An entity other than `any` as a peer."""

    where: Where
    entity: Entity


Peer = Union[HostSelector, Cidrs, Anyone, Known]


@dataclass(frozen=True)
class PolicyRule:
    """Flows with any of the peers to any of the services, those of the named sets among them."""

    id: Word
    direction: Direction
    action: Action
    peers: tuple[Peer, ...]
    services: tuple[Service, ...]
    port_sets: tuple[Word, ...] = ()
    window: Window = ALWAYS
    log: Log = Log.DENY
    about: About = NOTHING


@dataclass(frozen=True)
class Policy:
    """One document of kind Policy."""

    name: Word
    tier: Tier
    mode: Mode
    mode_where: Where
    subjects: HostSelector
    default_ingress: Action
    default_egress: Action
    default_forward: Action
    rules: tuple[PolicyRule, ...]
    about: About = NOTHING


@dataclass(frozen=True)
class AddressSet:
    """One document of kind AddressSet: networks under a name."""

    name: Word
    networks: tuple[Network, ...]


@dataclass(frozen=True)
class PortSet:
    """One document of kind PortSet: services under a name."""

    name: Word
    services: tuple[Service, ...]


class EndKind(Enum):
    """How a test names one end of a flow: a host of the inventory, every host of a group, an address."""

    HOST = "host"
    GROUP = "group"
    ADDRESS = "address"


@dataclass(frozen=True)
class End:
    """One end of a test's flow; an address is written as `str(ip_address(…))` does."""

    kind: EndKind
    name: Word


@dataclass(frozen=True)
class Case:
    """One assertion of a test: what becomes of every new flow from here to there. `service` is one port, or ICMP."""

    where: Where
    source: End
    target: End
    service: Service
    expect: Action


@dataclass(frozen=True)
class PolicyTest:
    """One document of kind PolicyTest."""

    name: Word
    cases: tuple[Case, ...]


@dataclass(frozen=True)
class Documents:
    """All that a set of policy files says, kind by kind in the order of files and lines."""

    policies: tuple[Policy, ...] = ()
    address_sets: tuple[AddressSet, ...] = ()
    port_sets: tuple[PortSet, ...] = ()
    tests: tuple[PolicyTest, ...] = ()
