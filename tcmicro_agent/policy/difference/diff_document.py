"""What changes as JSON values, nothing shortened."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tcmicro_agent.policy.difference.diff import Change, Turn
from tcmicro_agent.policy.difference.diff_text import party_text
from tcmicro_agent.policy.difference.host_diff import BundleChanges, PeerChange, names
from tcmicro_agent.policy.reach.naming import Naming
from tcmicro_agent.policy.reach.parties import Party
from tcmicro_agent.policy.reach.spans import Cause, texts


def connection_document(change: Change, naming: Naming) -> dict[str, Any]:
    """One change, nothing shortened."""
    return {
        "change": "open" if change.shift.opens else "close",
        "family": f"ipv{change.sources[0].version}",
        "from": _end_document(change.sources, naming),
        "to": _end_document(change.targets, naming),
        "services": texts(change.shift.services),
        "was": cause_document(change.shift.was),
        "now": cause_document(change.shift.now),
    }


def turn_document(turn: Turn) -> dict[str, Any]:
    return {
        "setting": turn.setting,
        "was": turn.was,
        "now": turn.now,
        "hosts": sorted(turn.hosts),
    }


def cause_document(cause: Cause) -> dict[str, Any]:
    return {
        "action": cause.action.value,
        "rule": cause.rule,
        "policy": cause.policy,
        "source": cause.source,
        "mode": cause.mode.value,
    }


def _end_document(parties: Sequence[Party], naming: Naming) -> dict[str, Any]:
    hosts = frozenset().union(*(party.hosts for party in parties))
    networks = [str(network) for party in parties for network in party.networks]
    return {"name": party_text(parties, naming), "hosts": sorted(hosts), "networks": networks}


def peer_document(change: PeerChange, changes: BundleChanges) -> dict[str, Any]:
    """One change of one host."""
    return {
        "change": "open" if change.shift.opens else "close",
        "direction": change.direction.value,
        "peers": list(names(changes, change.peers)),
        "services": texts(change.shift.services),
        "was": cause_document(change.shift.was),
        "now": cause_document(change.shift.now),
    }
