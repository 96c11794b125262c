"""A bundle as canonical JSON, its digest, and back again. The agent trusts nothing it did not parse here."""

from __future__ import annotations

import hashlib
import json
from ipaddress import ip_network
from typing import Any

from tcmicro_agent.errors import BundleError
from tcmicro_agent.jsonutil import Reader, read
from tcmicro_agent.policy.model import (
    BUNDLE_SCHEMA,
    Action,
    Bundle,
    Direction,
    Endpoint,
    Identity,
    IdentityInfo,
    Mode,
    Network,
    Protocol,
    Rule,
    Service,
)

MAX_IDENTITY = 2**31


def to_document(bundle: Bundle) -> dict[str, Any]:
    """The bundle as JSON values, `digest` included."""
    document: dict[str, Any] = {
        "kind": "Bundle",
        "schema": BUNDLE_SCHEMA,
        "host": bundle.host,
        "mode": bundle.mode.value,
        "defaults": {
            "ingress": _default(bundle.default_ingress, bundle.default_source[0]),
            "egress": _default(bundle.default_egress, bundle.default_source[1]),
        },
        "identities": [_identity(info) for info in bundle.identities],
        "endpoints": [
            {"network": str(e.network), "identity": e.identity} for e in bundle.endpoints
        ],
        "rules": [_rule(rule) for rule in bundle.rules],
    }
    if bundle.default_forward is Action.DENY:
        forward = _default(bundle.default_forward, bundle.forward_source)
        document["defaults"]["forward"] = forward
    document["digest"] = _digest(document)
    return document


def canonical(document: dict[str, Any]) -> bytes:
    """One byte string per meaning: sorted keys, no spaces, UTF-8."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def digest(bundle: Bundle) -> str:
    """The sha256 that names the bundle."""
    return str(to_document(bundle)["digest"])


def parse(document: object) -> Bundle:
    """The bundle a document describes. Raises BundleError with every fault: shape, references, digest."""
    return read(document, _read_bundle, BundleError)


def _digest(document: dict[str, Any]) -> str:
    content = {key: value for key, value in document.items() if key != "digest"}
    return hashlib.sha256(canonical(content)).hexdigest()


def _default(action: Action, source: str) -> dict[str, str]:
    return {"action": action.value, "source": source}


def _identity(info: IdentityInfo) -> dict[str, Any]:
    return {
        "number": info.number,
        "name": info.name,
        "groups": list(info.groups),
        "labels": dict(info.labels),
    }


def _rule(rule: Rule) -> dict[str, Any]:
    return {
        "uid": rule.uid,
        "direction": rule.direction.value,
        "action": rule.action.value,
        "tier": rule.tier,
        "services": [
            {"protocol": s.protocol.value, "first": s.first, "last": s.last} for s in rule.services
        ],
        "identities": list(rule.identities),
        "any": rule.any_peer,
        "source": rule.source,
    }


def _read_bundle(doc: Reader) -> Bundle:
    if doc.get_str("kind") != "Bundle":
        doc.fault("kind", 'not a "Bundle"')
    doc.get_int("schema", BUNDLE_SCHEMA, BUNDLE_SCHEMA, "known bundle schema")
    defaults = doc.get_object("defaults")
    ingress, egress = defaults.get_object("ingress"), defaults.get_object("egress")
    forward = defaults.get_object("forward") if defaults.has("forward") else None
    bundle = Bundle(
        host=doc.get_str("host"),
        mode=doc.get_enum("mode", Mode),
        default_ingress=ingress.get_enum("action", Action),
        default_egress=egress.get_enum("action", Action),
        identities=tuple(_read_identity(item) for item in doc.get_objects("identities")),
        endpoints=tuple(_read_endpoint(item) for item in doc.get_objects("endpoints")),
        rules=tuple(_read_rule(item) for item in doc.get_objects("rules")),
        default_source=(ingress.get_str("source"), egress.get_str("source")),
        default_forward=forward.get_enum("action", Action) if forward else Action.ALLOW,
        forward_source=forward.get_str("source") if forward else "",
    )
    _check_references(doc, bundle)
    named = doc.get_str("digest")
    if named != digest(bundle):
        doc.fault("digest", f"{named[:12]} does not name this content ({digest(bundle)[:12]})")
    return bundle


def _read_identity(item: Reader) -> IdentityInfo:
    return IdentityInfo(
        number=Identity(item.get_int("number", 1, MAX_IDENTITY, "identity")),
        name=item.get_str("name"),
        groups=item.get_strings("groups"),
        labels=tuple(sorted(item.get_map("labels").items())),
    )


def _read_endpoint(item: Reader) -> Endpoint:
    return Endpoint(
        network=item.get_value("network", _network, ip_network("0.0.0.0/0")),
        identity=Identity(item.get_int("identity", 0, MAX_IDENTITY, "identity")),
    )


def _network(text: str) -> Network:
    return ip_network(text)


def _read_rule(item: Reader) -> Rule:
    rule = Rule(
        uid=item.get_str("uid"),
        direction=item.get_enum("direction", Direction),
        action=item.get_enum("action", Action),
        tier=item.get_str("tier"),
        services=tuple(_read_service(service) for service in item.get_objects("services")),
        identities=tuple(
            Identity(n) for n in item.get_ints("identities", 0, MAX_IDENTITY, "identity")
        ),
        any_peer=item.get_bool("any"),
        source=item.get_str("source"),
    )
    if not rule.services:
        item.fault("services", "is empty: such a rule could never match")
    return rule


def _read_service(item: Reader) -> Service:
    service = Service(
        protocol=item.get_enum("protocol", Protocol),
        first=item.get_int("first", 0, 65535, "port"),
        last=item.get_int("last", 0, 65535, "port"),
    )
    whole = (service.first, service.last) == (0, 65535)
    if service.first > service.last:
        item.fault("first", f"{service.first} lies behind last ({service.last})")
    if service.protocol in (Protocol.ANY, Protocol.ICMP) and not whole:
        item.fault("first", f"protocol {service.protocol.value} has no ports (0-65535 expected)")
    return service


def _check_references(doc: Reader, bundle: Bundle) -> None:
    numbers = [info.number for info in bundle.identities]
    if len(set(numbers)) < len(numbers):
        doc.fault("identities", "two entries have one number")
    uids = [rule.uid for rule in bundle.rules]
    if len(set(uids)) < len(uids):
        doc.fault("rules", "two rules have one uid")
    networks = [endpoint.network for endpoint in bundle.endpoints]
    if len(set(networks)) < len(networks):
        doc.fault("endpoints", "two entries have one network")
    used = {e.identity for e in bundle.endpoints}.union(*(r.identities for r in bundle.rules))
    for number in sorted(used - set(numbers) - {0}):
        doc.fault("identities", f"number {number} is used and not defined")
