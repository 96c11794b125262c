"""Bundles out of JSON: every field checked, every reference followed, every fault told with its place."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from itertools import chain
from typing import Any, cast

from tcmicro_agent.jsonutil import Reader, all_of, all_within
from tcmicro_agent.policy.model import (
    BUNDLE_SCHEMA,
    SOURCES_INSIDE,
    Action,
    Bundle,
    Direction,
    Identity,
    IdentityInfo,
    Log,
    Mode,
    Protocol,
    Rule,
    Service,
    Window,
)
from tcmicro_agent.policy.notation import all_canonical, canonical
from tcmicro_agent.policy.windows import instant

MAX_IDENTITY = 2**31
PLAIN_RULE = {"uid", "direction", "action", "tier", "services", "identities", "any"}
DIRECTIONS = {direction.value: direction for direction in Direction}
ACTIONS = {action.value: action for action in Action}
PROTOCOLS = {protocol.value: protocol for protocol in Protocol}

Endpoints = tuple[list[str], list[Identity]]  # networks and who they are, in step


def read_bundle(doc: Reader) -> Bundle:
    """All of a bundle but its digest."""
    if doc.get_str("kind") != "Bundle":
        doc.fault("kind", 'not a "Bundle"')
    schema = doc.get_int("schema", SOURCES_INSIDE, BUNDLE_SCHEMA, "known bundle schema")
    sources = {} if schema == SOURCES_INSIDE else doc.get_map("sources")
    defaults = _read_defaults(doc.get_object("defaults"))
    ingress, egress, forward = defaults["ingress"], defaults["egress"], defaults.get("forward")
    mode = doc.get_enum("mode", Mode)
    bundle = Bundle(
        host=doc.get_str("host"),
        mode=mode,
        default_ingress=ingress.get_enum("action", Action),
        default_egress=egress.get_enum("action", Action),
        identities=_read_identities(doc),
        endpoints=_read_endpoints(doc),
        rules=_read_rules(doc, sources, mode),
        default_source=(ingress.get_str("source"), egress.get_str("source")),
        default_forward=forward.get_enum("action", Action) if forward else Action.ALLOW,
        forward_source=forward.get_str("source") if forward else "",
        schema=schema,
        audited_defaults=_read_audited(defaults, mode),
    )
    if schema != SOURCES_INSIDE and sources.keys() != {rule.uid for rule in bundle.rules}:
        doc.fault("sources", "does not name the rules, and each of them")
    _check_references(doc, bundle)
    return bundle


def _read_identities(doc: Reader) -> tuple[IdentityInfo, ...]:
    found = _all_identities(doc)
    if found is None:
        found = tuple(_read_identity(item) for item in doc.get_objects("identities"))
    return found


def _all_identities(doc: Reader) -> tuple[IdentityInfo, ...] | None:
    """All at once, for there may be many. None where one is wrong: reading each tells which and how."""
    kinds = {"number": int, "name": str, "groups": list, "labels": dict}
    columns = doc.get_columns("identities", kinds)
    if columns is None:
        return None
    numbers, names, groups, labels = columns
    words = chain(*groups, *(found.values() for found in labels))
    if not all_of(str, words) or not all_within(numbers, 1, MAX_IDENTITY):
        return None
    pairs = (tuple(sorted(found.items())) for found in labels)
    return tuple(map(IdentityInfo, numbers, names, map(tuple, groups), pairs))


def _read_identity(item: Reader) -> IdentityInfo:
    return IdentityInfo(
        number=Identity(item.get_int("number", 1, MAX_IDENTITY, "identity")),
        name=item.get_str("name"),
        groups=item.get_strings("groups"),
        labels=tuple(sorted(item.get_map("labels").items())),
    )


def _read_endpoints(doc: Reader) -> dict[str, Identity]:
    networks, numbers = _all_endpoints(doc) or _each_endpoint(doc)
    endpoints = dict(zip(networks, numbers))
    if len(endpoints) < len(networks):
        doc.fault("endpoints", "two entries have one network")
    return endpoints


def _all_endpoints(doc: Reader) -> Endpoints | None:
    """As `_all_identities`."""
    columns = doc.get_columns("endpoints", {"network": str, "identity": int})
    if columns is None:
        return None
    networks, numbers = columns
    try:
        known = all_canonical(networks)
    except ValueError:
        return None
    return (known, numbers) if all_within(numbers, 0, MAX_IDENTITY) else None


def _each_endpoint(doc: Reader) -> Endpoints:
    networks, numbers = [], []
    for item in doc.get_objects("endpoints"):
        # a stand-in of its own, so that two wrong networks are not taken for one
        networks.append(item.get_value("network", canonical, item.path))
        numbers.append(Identity(item.get_int("identity", 0, MAX_IDENTITY, "identity")))
    return networks, numbers


def _read_defaults(defaults: Reader) -> dict[str, Reader]:
    ways = ("ingress", "egress", *(["forward"] if defaults.has("forward") else []))
    return {way: defaults.get_object(way) for way in ways}


def _read_audited(defaults: Mapping[str, Reader], mode: Mode) -> frozenset[str]:
    audited = {way: default for way, default in defaults.items() if _audits(default, mode)}
    for default in audited.values():
        if default.get_enum("action", Action) is Action.ALLOW:
            default.fault("mode", "stands beside allow; only what denies is audited")
    return frozenset(audited)


def _audits(item: Reader, mode: Mode) -> bool:
    """Only a mode that says less than the bundle's is written."""
    if not item.has("mode"):
        return False
    if item.get_enum("mode", Mode) is mode or mode is Mode.MONITOR:
        item.fault("mode", "only monitor, in a bundle of mode protect, is written here")
    return True


def _read_rules(doc: Reader, sources: Mapping[str, str], mode: Mode) -> tuple[Rule, ...]:
    try:
        return tuple([_plain_rule(item, sources) for item in doc.get_list("rules")])
    except (KeyError, TypeError, ValueError):
        return tuple(_read_rule(item, sources, mode) for item in doc.get_objects("rules"))
    finally:
        _known_service.cache_clear()  # few bytes, that keep all memory around them from being given back


def _plain_rule(item: Any, sources: Mapping[str, str]) -> Rule:
    """A rule as most are, five times as fast. Raises KeyError, TypeError or ValueError for any other, right or wrong:
    reading each tells."""
    if item.__class__ is not dict or item.keys() != PLAIN_RULE:
        raise ValueError
    uid, tier, numbers, services = (item[k] for k in ("uid", "tier", "identities", "services"))
    lists = numbers.__class__ is list and services.__class__ is list
    if not (lists and all_of(int, numbers) and all_within(numbers, 0, MAX_IDENTITY)):
        raise ValueError
    if not (services and all_of(str, (uid, tier)) and item["any"].__class__ is bool):
        raise ValueError
    return Rule(
        uid=uid,
        direction=DIRECTIONS[item["direction"]],
        action=ACTIONS[item["action"]],
        services=tuple([_plain_service(**service) for service in services]),
        identities=tuple(numbers),
        any_peer=item["any"],
        tier=tier,
        source=sources[uid],
    )


def _plain_service(protocol: str, first: int, last: int) -> Service:
    if not all_of(int, (first, last)):
        raise ValueError
    return _known_service(protocol, first, last)


@lru_cache(4096)
def _known_service(protocol: str, first: int, last: int) -> Service:
    found = Service(PROTOCOLS[protocol], first, last)
    whole = (first, last) == (0, 65535)
    if not 0 <= first <= last <= 65535 or (found.protocol is Protocol.ANY and not whole):
        raise ValueError
    return found


def _read_rule(item: Reader, sources: Mapping[str, str], mode: Mode) -> Rule:
    uid = item.get_str("uid")
    rule = Rule(
        uid=uid,
        direction=item.get_enum("direction", Direction),
        action=item.get_enum("action", Action),
        tier=item.get_str("tier"),
        services=tuple(_read_service(service) for service in item.get_objects("services")),
        identities=cast(
            "tuple[Identity, ...]", item.get_ints("identities", 0, MAX_IDENTITY, "identity")
        ),
        any_peer=item.get_bool("any"),
        source=sources[uid] if uid in sources else item.get_str("source", ""),
        window=Window(_read_instant(item, "start"), _read_instant(item, "end")),
        log=item.get_enum("log", Log, Log.DENY),
        audits=_audits(item, mode),
    )
    if not rule.services:
        item.fault("services", "is empty: such a rule could never match")
    return rule


def _read_instant(item: Reader, key: str) -> int | None:
    return item.get_value(key, instant, None, None)


def _read_service(item: Reader) -> Service:
    service = Service(
        protocol=item.get_enum("protocol", Protocol),
        first=item.get_int("first", 0, 65535, "port"),
        last=item.get_int("last", 0, 65535, "port"),
    )
    whole = (service.first, service.last) == (0, 65535)
    if service.first > service.last:
        item.fault("first", f"{service.first} lies behind last ({service.last})")
    if service.protocol is Protocol.ANY and not whole:
        item.fault("first", "protocol any has no ports (0-65535 expected)")
    return service


def _check_references(doc: Reader, bundle: Bundle) -> None:
    numbers = [info.number for info in bundle.identities]
    if len(set(numbers)) < len(numbers):
        doc.fault("identities", "two entries have one number")
    uids = [rule.uid for rule in bundle.rules]
    if len(set(uids)) < len(uids):
        doc.fault("rules", "two rules have one uid")
    used = set(bundle.endpoints.values()).union(*(rule.identities for rule in bundle.rules))
    for number in sorted(used - set(numbers) - {0}):
        doc.fault("identities", f"number {number} is used and not defined")
