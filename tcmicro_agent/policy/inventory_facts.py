"""Ansible's variables → the inventory that policies are resolved over."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from ipaddress import ip_address
from typing import Any

Variables = Mapping[str, Any]

# Groups by what a host was seen to run, of the inventory plugin tcmicro.fleet.state. They are nothing to write policies
# over: every bundle would change with a status run, and change them in turn.
STATE_PREFIX = "tcmicro_state_"
PLACES = {"controller": "tcmicro_controller_addresses", "resolvers": "tcmicro_resolvers"}


def inventory_document(hostvars: Mapping[str, Variables], hosts: Iterable[str]) -> dict[str, Any]:
    """The document that `parse_inventory` reads, with the given hosts."""
    return {str(host): _host(hostvars[host]) for host in hosts}


def _host(variables: Variables) -> dict[str, Any]:
    return {
        "groups": [
            str(group)
            for group in variables.get("group_names") or ()
            if not str(group).startswith(STATE_PREFIX)
        ],
        "labels": _labels(variables.get("tcmicro_labels") or {}),
        "addresses": addresses(variables),
        **{key: variables[name] for key, name in PLACES.items() if variables.get(name) is not None},
    }


def _labels(labels: Any) -> Any:
    """Numbers mean their digits, as in policies; anything else is left to be refused. Ansible's strings, which
    remember where they come from, become plain ones."""
    if not isinstance(labels, Mapping):
        return labels
    return {str(key): _digits(value) for key, value in labels.items()}


def _digits(value: Any) -> Any:
    return str(value) if isinstance(value, (int, str)) and not isinstance(value, bool) else value


def addresses(variables: Variables) -> Any:
    """A list, or else what is to be refused. `ansible_host` counts only where it is an address: a name may mean any of
    the host's, or a proxy's."""
    listed = variables.get("tcmicro_addresses")
    if listed is not None:
        return listed
    host = variables.get("ansible_host")
    return [host] if isinstance(host, str) and _is_address(host) else []


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
