"""The order of keys, and of lists whose order means nothing."""

from __future__ import annotations

import re
from collections.abc import Callable
from ipaddress import ip_network
from typing import Any

from tcmicro_agent.policy.networks import order_of

# One list for all mappings: no two keys stand in one order here and in the other there.
KEYS = (
    *("apiVersion", "kind", "metadata", "name", "id", "spec", "tier", "mode", "applyTo"),
    *("default", "ingress", "egress", "forward", "action", "from", "to"),
    *("entity", "groups", "labels", "hosts", "exceptHosts", "cidrs", "addressSets", "except"),
    *("host", "group", "address", "ports", "port", "expect", "startsAt", "expires", "log"),
    *("owner", "ticket", "description", "cases"),
)
RANK = {key: rank for rank, key in enumerate(KEYS)}
LABELS = "labels"  # its keys are names of people's own
PORT = re.compile(r"([a-z0-9]+)/([0-9]+)(?:-([0-9]+))?")

Key = tuple[Any, ...]


def key_order(parent: str, key: str) -> Key:
    """Sorts the keys of the mapping at `parent`; those that we do not know keep their order behind the others."""
    return (0, key) if parent == LABELS else (RANK.get(key, len(KEYS)),)


def _name(text: str) -> Key:
    return (text,)


def _port(text: str) -> Key:
    """By protocol and number; what has no number stands behind what has, and sets at the end."""
    found = PORT.fullmatch(text)
    if found and len(text) < 40:
        return (0, found[1], int(found[2]), int(found[3] or found[2]), text)
    return (2 if text.startswith("set:") else 1, text)


def _network(text: str) -> Key:
    try:
        return (0, order_of(ip_network(text, strict=False)), text)
    except ValueError:
        return (1, text)


SORTED: dict[str, Callable[[str], Key]] = {
    "groups": _name,
    "hosts": _name,
    "exceptHosts": _name,
    "addressSets": _name,
    "cidrs": _network,
    "except": _network,
    "ports": _port,
}
