"""What policies come to: a policy with its hosts and the addresses its rules mean; the whole bundle of a host."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tcmicro_agent.policy.compile import compile_bundle
from tcmicro_agent.policy.intent import Policy
from tcmicro_agent.policy.inventory import Inventory
from tcmicro_agent.policy.model import ALWAYS, Bundle, Identity, Rule, Window
from tcmicro_agent.policy.problems import Problems
from tcmicro_agent.policy.reach.naming import Naming
from tcmicro_agent.policy.reach.spans import service_text
from tcmicro_agent.policy.resolve import resolve
from tcmicro_agent.policy.selection import Selection
from tcmicro_agent.policy.windows import written


def subjects(policy: Policy, inventory: Inventory) -> frozenset[str]:
    """The hosts that a policy is about; none where its selector does not fit, which `resolve` says."""
    return Selection(inventory, Problems()).select(policy.subjects)


def describe_policy(
    policy: Policy, policies: Iterable[Policy], inventory: Inventory
) -> dict[str, Any]:
    """The policy by itself: other policies on its hosts may decide before it does."""
    hosts = subjects(policy, inventory)
    bundle = resolve([policy], inventory)[min(hosts)]
    others = [p.name.text for p in policies if hosts & subjects(p, inventory) and p is not policy]
    return {
        "name": policy.name.text,
        "source": f"{policy.name.where.file}:{policy.name.where.line}",
        "tier": policy.tier.value,
        "mode": policy.mode.value,
        "default": {
            "ingress": policy.default_ingress.value,
            "egress": policy.default_egress.value,
            "forward": policy.default_forward.value,
        },
        "owner": policy.about.owner,
        "description": policy.about.description,
        "applies_to": {"name": Naming(inventory).name(hosts), "hosts": sorted(hosts)},
        "beside": sorted(others),
        **_content(bundle),
    }


def describe_host(name: str, policies: Sequence[Policy], inventory: Inventory) -> dict[str, Any]:
    """A host with the bundle it shall enforce."""
    mine = [policy for policy in policies if name in subjects(policy, inventory)]
    bundle, host = resolve(mine, inventory)[name], inventory.hosts[name]
    places = {p.name.text: f"{p.name.where.file}:{p.name.where.line}" for p in mine}
    return {
        "name": name,
        "groups": list(host.groups),
        "labels": dict(host.labels),
        "addresses": [str(address) for address in host.addresses],
        "policies": [{"name": n, "source": place} for n, place in sorted(places.items())],
        "mode": bundle.mode.value if mine else None,
        "monitoring": list(bundle.monitoring),
        "default": {
            "ingress": _default(bundle, "ingress", bundle.default_source[0]),
            "egress": _default(bundle, "egress", bundle.default_source[1]),
            "forward": _default(bundle, "forward", bundle.forward_source),
        },
        **_content(bundle),
    }


def _default(bundle: Bundle, way: str, policy: str) -> dict[str, str]:
    actions = {"ingress": bundle.default_ingress, "egress": bundle.default_egress}
    action = actions.get(way, bundle.default_forward)
    return {"action": action.value, "policy": policy, "mode": bundle.default_mode(way).value}


def _content(bundle: Bundle) -> dict[str, Any]:
    addresses = _addresses(bundle)
    names = {info.number: info.name for info in bundle.identities}
    return {
        "rules": [{**_rule(r, names), "mode": bundle.mode_of(r).value} for r in bundle.rules],
        "identities": [
            {
                "number": info.number,
                "name": info.name,
                "groups": list(info.groups),
                "labels": dict(info.labels),
                "addresses": addresses.get(info.number, []),
            }
            for info in bundle.identities
        ],
        "tables": sizes(bundle),
    }


def _addresses(bundle: Bundle) -> Mapping[Identity, list[str]]:
    found: dict[Identity, list[str]] = {}
    for network, number in bundle.endpoints.items():
        found.setdefault(number, []).append(network)
    return found


def _rule(rule: Rule, names: Mapping[Identity, str]) -> dict[str, Any]:
    peers = ["any"] if rule.any_peer else [names.get(n, "world") for n in rule.identities]
    return {
        "rule": rule.uid,
        "direction": rule.direction.value,
        "action": rule.action.value,
        "tier": rule.tier,
        "peers": peers,
        "identities": list(rule.identities),
        "services": [service_text(service) for service in rule.services],
        "source": rule.source,
        "window": window_text(rule.window),
    }


def window_text(window: Window) -> str:
    """`from … until …`, "" where it is always open."""
    if window == ALWAYS:
        return ""
    ends = (("from", window.start), ("until", window.end))
    return " ".join(f"{word} {written(end)}" for word, end in ends if end is not None)


def sizes(bundle: Bundle) -> dict[str, int]:
    """Entries that the bundle takes in the tables of a host, once."""
    networks = [network.partition("/") for network in bundle.endpoints]
    hosts = sum(length == ("128" if ":" in address else "32") for address, _, length in networks)
    groups = compile_bundle(bundle)
    return {
        "hosts": hosts,
        "networks": len(networks) - hosts,
        "identities": len(bundle.identities),
        "rules": len(bundle.rules),
        "entries": sum(len(group.identities) * len(group.decisions) for group in groups),
    }
