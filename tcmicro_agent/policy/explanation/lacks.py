"""What keeps somebody from being the peer that a selector means, and what to write so that it is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

from tcmicro_agent.policy.intent import Cidrs, HostSelector, Peer
from tcmicro_agent.policy.inventory import Address, Host


class Lack(IntEnum):
    """What a rule lacks, the nearest first: a rule for the same service is nearer than one for the same peer."""

    TIME = 0
    LABEL = 1
    EXCEPTED = 2
    GROUP = 3
    HOST = 4
    NETWORK = 5
    STRANGER = 6  # it is for hosts of the inventory
    PORT = 7
    PROTOCOL = 8


Told = tuple[Lack, str, str]  # what is lacking, what the selector needs, and what is so


@dataclass(frozen=True)
class Stranger:
    """The other end of the flow: its address, and the host of the inventory that it is, if it is one."""

    address: Address
    host: Host | None
    groups: tuple[str, ...]  # those that say who it is

    @property
    def name(self) -> str:
        return self.host.name if self.host else str(self.address)

    def as_peer(self) -> str:
        """The peer of a rule that means it, and others like it if it is in a group."""
        if self.host is None:
            return f"{{cidrs: [{self.network}]}}"
        if not self.groups:
            return f"{{hosts: [{self.name}]}}"
        return f"{{groups: [{self.groups[0]}]}}"

    @property
    def network(self) -> str:
        text = f"{self.address}/{self.address.max_prefixlen}"
        return f'"{text}"' if ":" in text else text


def lacks_of(selector: Peer, stranger: Stranger) -> Iterator[Told]:
    """What keeps the stranger from being this peer: what it lacks, what the selector needs and what is so."""
    if isinstance(selector, Cidrs):
        yield from _network_lacks(selector, stranger)
    elif isinstance(selector, HostSelector) and stranger.host:
        yield from _host_lacks(selector, stranger.host, stranger.groups)
    elif isinstance(selector, HostSelector):
        yield Lack.STRANGER, "is for hosts of the inventory", f"{stranger.name} is none"


def _network_lacks(selector: Cidrs, stranger: Stranger) -> Iterator[Told]:
    around = [network for network in selector.networks if stranger.address in network]
    holes = [network for network in selector.excluded if stranger.address in network]
    if around and holes:
        yield Lack.EXCEPTED, f"excepts {holes[0]}", f"{stranger.address} is in it"
    elif not around and selector.networks:
        named = ", ".join(map(str, selector.networks[:3]))
        more = ", …" * (len(selector.networks) > 3)
        yield Lack.NETWORK, f"needs an address in {named}{more}", f"it is {stranger.address}"


def _host_lacks(selector: HostSelector, host: Host, groups: tuple[str, ...]) -> Iterator[Told]:
    wanted = [word.text for word in selector.groups]
    if wanted and not {"all", *host.groups} & set(wanted):
        one = f"group {wanted[0]}" if len(wanted) == 1 else f"one of the groups {', '.join(wanted)}"
        yield Lack.GROUP, f"needs {one}", f"{host.name} is in {', '.join(groups) or 'none'}"
    labels = dict(host.labels)
    for key, value in selector.labels:
        if labels.get(key.text) != value.text:
            has = f"{key.text}={labels[key.text]}" if key.text in labels else f"no {key.text}"
            yield Lack.LABEL, f"needs label {key.text}={value.text}", f"{host.name} has {has}"
    named = [word.text for word in selector.hosts]
    if named and host.name not in named:
        yield Lack.HOST, f"needs one of the hosts {', '.join(named[:3])}", f"this is {host.name}"
    if host.name in [word.text for word in selector.except_hosts]:
        yield Lack.EXCEPTED, f"excepts {host.name}", "this is it"


def mending(kind: Lack, selector: Peer, stranger: Stranger) -> tuple[str, str]:
    """Which list of the selector wants which value; "" for the list of peers, where no value would do."""
    if kind is Lack.GROUP and stranger.groups:
        return "groups", stranger.groups[0]
    if kind is Lack.HOST:
        return "hosts", stranger.name
    if kind is Lack.LABEL and isinstance(selector, HostSelector) and stranger.host:
        return "", _like(selector, stranger.host)
    if stranger.host is None:
        return ("cidrs", stranger.network) if kind is Lack.NETWORK else ("", stranger.as_peer())
    one = kind is Lack.EXCEPTED
    return "", f"{{hosts: [{stranger.name}]}}" if one else stranger.as_peer()


def _like(selector: HostSelector, host: Host) -> str:
    """The selector with the labels that the host has; a host that lacks one is named."""
    has = dict(host.labels)
    keys = [key.text for key, _ in selector.labels]
    if not all(key in has for key in keys):
        return f"{{hosts: [{host.name}]}}"
    groups = f"groups: [{', '.join(word.text for word in selector.groups)}], " * bool(
        selector.groups
    )
    return f"{{{groups}labels: {{{', '.join(f'{key}: {has[key]}' for key in keys)}}}}}"
