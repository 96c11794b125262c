"""Checks of what single hosts end up with."""

from __future__ import annotations

from collections.abc import Iterator

from tcmicro_agent.policy.checks import flows
from tcmicro_agent.policy.checks.scene import Kind, Scene, listed
from tcmicro_agent.policy.codes import Code
from tcmicro_agent.policy.evaluate import identify
from tcmicro_agent.policy.inventory import Address
from tcmicro_agent.policy.model import WORLD, Direction, Mode, Protocol, Service
from tcmicro_agent.policy.problems import Problems, Where

DNS = Service(Protocol.UDP, 53, 53)
DEFAULTS = 3  # what owns a counter besides rules


def without_resolver(scene: Scene, problems: Problems) -> None:
    """Hosts from which no name server can be reached."""
    found: dict[str, list[str]] = {}
    for kind in _protecting(scene):
        refused = {
            flows.refused_by(kind, Direction.EGRESS, identity, DNS)
            for identity in _asked(scene, kind)
        }
        if refused and None not in refused:
            found.setdefault(min(filter(None, refused)), []).extend(kind.hosts)
    for owner, hosts in found.items():
        text = f"{listed(hosts)} can reach no resolver (udp/53); allow it in egress"
        problems.add(_place(scene, owner), Code.NO_RESOLVER, text)


def controller_cut(scene: Scene, problems: Problems) -> None:
    """Hosts on which policy refuses ssh from where Ansible connects."""
    ssh = Service(Protocol.TCP, scene.limits.ssh, scene.limits.ssh)
    found: dict[tuple[str, Address], list[str]] = {}
    for kind in _protecting(scene):
        for address, hosts in _controllers(scene, kind).items():
            identity = identify(kind.bundle, address)
            refused = flows.refused_by(kind, Direction.INGRESS, identity, ssh)
            if refused is not None:
                found.setdefault((refused, address), []).extend(hosts)
    for (owner, address), hosts in found.items():
        text = (
            f"keeps the controller {address} out of {listed(hosts)}: {flows.text(ssh)} is refused"
        )
        problems.add(_place(scene, owner), Code.CONTROLLER_CUT, text)


def too_large(scene: Scene, problems: Problems) -> None:
    """Bundles that fill the tables; they are shared by the policy in force and the one before."""
    for kind in scene.kinds:
        sources = [source for source in kind.bundle.default_source if source]
        for what, entries, most in _sizes(scene, kind):
            if sources and 2 * entries > most:
                code = Code.TOO_MANY_ENTRIES if entries > most else Code.CROWDED
                text = f"{listed(kind.hosts)} would hold {entries} {what}, of {most} for all policies kept"
                problems.add(_place(scene, sources[0]), code, text)


def _sizes(scene: Scene, kind: Kind) -> Iterator[tuple[str, int, int]]:
    """What a bundle takes of each table, and how much there is."""
    wide = [network for network in kind.bundle.endpoints if ":" in network]
    narrow = [network for network in kind.bundle.endpoints if ":" not in network]
    for version, networks, end in ((4, narrow, "/32"), (6, wide, "/128")):
        count = sum(network.endswith(end) for network in networks)
        yield f"addresses of IPv{version} hosts", count, scene.limits.hosts
    decisions = sum(len(group.decisions) * len(group.identities) for group in kind.groups)
    yield "decisions of rules", decisions, scene.limits.rules
    yield "rules", len(kind.bundle.rules) + DEFAULTS, scene.limits.counters


def _protecting(scene: Scene) -> Iterator[Kind]:
    return (kind for kind in scene.kinds if kind.bundle.mode is Mode.PROTECT)


def _asked(scene: Scene, kind: Kind) -> set[int]:
    """Who may be a name server: whom the inventory names as such, or else anybody."""
    resolvers = {a for name in kind.hosts for a in scene.inventory.hosts[name].resolvers}
    if resolvers:
        return {identify(kind.bundle, address) for address in resolvers}
    return {WORLD, *(info.number for info in kind.bundle.identities)}


def _controllers(scene: Scene, kind: Kind) -> dict[Address, list[str]]:
    """Addresses of the controller with the hosts that it reaches from there."""
    found: dict[Address, list[str]] = {}
    for name in kind.hosts:
        for address in {*scene.limits.controllers, *scene.inventory.hosts[name].controller}:
            found.setdefault(address, []).append(name)
    return found


def _place(scene: Scene, owner: str) -> Where:
    """Where a rule stands, or the policy whose default it is."""
    if owner in scene.by_uid:
        return scene.by_uid[owner].id.where
    return scene.named[owner].name.where
