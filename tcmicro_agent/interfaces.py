"""Which interfaces are guarded: those that own the packets they carry, out of all links of the host. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from fnmatch import fnmatchcase

AUTO = "auto"
NAME_BYTES = 16  # IFNAMSIZ, with the zero at the end
ARPHRD_ETHER = 1
IFF_UP, IFF_BROADCAST, IFF_LOOPBACK, IFF_POINTOPOINT = 0x1, 0x2, 0x8, 0x10

# Links whose packets start with the IP header. Tunnels showed their outer headers to tc before kernel 5.14.
BARE_IP = frozenset({"tun", "wireguard", "ppp"})
TUNNELS = frozenset({"ipip", "sit", "ip6tnl", "gre", "ip6gre"})
TUNNELS_SINCE = (5, 14)
MULTIPOINT = frozenset({"gre", "ip6gre"})

# Links that look like any other and carry nothing of their own.
HELPERS = {
    "ifb": "it carries packets that other interfaces redirect to it",
    "vrf": "packets of a VRF are judged on the interfaces in it",
}


class Framing(Enum):
    """What a packet starts with where our programs see it."""

    ETHERNET = "ethernet"
    IP = "ip"


@dataclass(frozen=True)
class Interface:
    """A place for our programs."""

    name: str
    index: int
    framing: Framing = Framing.ETHERNET


@dataclass(frozen=True)
class Link:
    """A link as the kernel describes it; 0 and None where it has no such thing."""

    name: str
    index: int
    kind: str = ""  # "vlan", "bridge", "veth", ...; empty for hardware
    framing: Framing | None = Framing.ETHERNET  # None: not known to us
    up: bool = True
    loopback: bool = False
    master: int = 0  # the bridge, bond, team or VRF it is in
    parent: int = 0  # the link that carries the tagged frames of a VLAN
    vlan: int | None = None


def framing(kind: str, hardware: int, flags: int, kernel: tuple[int, ...]) -> Framing | None:
    """By IFLA_INFO_KIND, ARPHRD_* and IFF_*; None where our programs could not find the IP header."""
    if hardware == ARPHRD_ETHER:
        return Framing.ETHERNET
    if kind in BARE_IP:
        return Framing.IP
    if kind not in TUNNELS or kernel < TUNNELS_SINCE:
        return None
    # with no fixed peer the header of the tunnel stands before that of the packet
    fixed = flags & IFF_POINTOPOINT and not flags & IFF_BROADCAST
    return Framing.IP if fixed or kind not in MULTIPOINT else None


def guardable(links: Sequence[Link], wanted: Sequence[str]) -> list[Interface]:
    """The interfaces to guard by `wanted`: names, patterns, and "auto" for every link that owns its packets."""
    known = by_index(links)
    return [
        Interface(link.name, link.index, link.framing)
        for link in links
        if link.framing and _wants(link, wanted) and not obstacle(link, known)
    ]


def _wants(link: Link, wanted: Sequence[str]) -> bool:
    # nothing ever comes in through a dummy, and what goes out there is gone
    by_itself = AUTO in wanted and link.kind != "dummy"
    return by_itself or any(fnmatchcase(link.name, pattern) for pattern in wanted)


def obstacle(link: Link, known: Mapping[int, Link]) -> str:
    """Why a link cannot be guarded; empty when it can."""
    if link.loopback:
        return "traffic of this host with itself is never judged"
    if link.kind in HELPERS:
        return HELPERS[link.kind]
    if link.framing is None:
        return f"where a packet starts on {link.kind or 'such'} links is not known to this release"
    owner = owner_of(link, known)
    if owner is not link:
        return f"it is part of {owner.name}, which owns its packets: name that instead"
    return ""


def owner_of(link: Link, known: Mapping[int, Link]) -> Link:
    """The link that owns the packets: itself, or the bridge, bond or team on top of it. A VRF only routes."""
    for _ in known:  # bounded: links read while they change may form a circle
        above = known.get(link.master)
        if above is None or above.kind == "vrf":
            break
        link = above
    return link


def by_index(links: Iterable[Link]) -> dict[int, Link]:
    return {link.index: link for link in links}


def problems(links: Sequence[Link], wanted: Sequence[str]) -> list[str]:
    """What of the configuration cannot be followed on this host, one line each."""
    known, by_name = by_index(links), {link.name: link for link in links}
    found = []
    for name in wanted:
        if name == AUTO or is_pattern(name):
            continue
        reason = obstacle(by_name[name], known) if name in by_name else "there is no such interface"
        if reason:
            found.append(f"{name}: named in interfaces, not guarded: {reason}")
    if not found and not guardable(links, wanted):
        found.append(f"no interface matches {', '.join(wanted)}: nothing is guarded")
    return found


def is_pattern(name: str) -> bool:
    return any(sign in name for sign in "*?[")


def parse_name(text: str) -> str:
    """A name or pattern as people write it; ValueError says what is wrong with it."""
    if text == "lo":
        raise ValueError('"lo" is never guarded: traffic of a host with itself is not judged')
    if not 0 < len(text) < NAME_BYTES or "/" in text or any(sign.isspace() for sign in text):
        raise ValueError(
            f"{text!r} is no name of an interface (1-{NAME_BYTES - 1} characters), "
            'no pattern like "eth*" and not "auto"'
        )
    return text


def left_out(links: Sequence[Link], wanted: Sequence[str]) -> dict[str, str]:
    """Links that carry packets of their own and are not guarded, by name, and why."""
    known = by_index(links)
    guarded = {interface.index for interface in guardable(links, wanted)}
    return {
        link.name: obstacle(link, known) or "not in interfaces"
        for link in links
        if link.up
        and not link.loopback
        and link.index not in guarded
        and owner_of(link, known) is link
    }


def vlan_keys(links: Sequence[Link], guarded: Collection[int]) -> set[tuple[int, int]]:
    """(parent, VLAN id) of every VLAN whose frames are judged on a guarded interface, so not on their parent.

    Two links may share an id (802.1Q and 802.1ad): then both must be guarded.
    """
    known = by_index(links)
    owners = [
        ((link.parent, link.vlan), owner_of(link, known).index)
        for link in links
        if link.parent and link.vlan is not None
    ]
    unjudged = {key for key, owner in owners if owner not in guarded}
    return {key for key, _ in owners} - unjudged
