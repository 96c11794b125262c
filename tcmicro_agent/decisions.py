"""Events and sums as documents: numbers become names by the bundles the slots hold. Reads only."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

from tcmicro_agent import tables
from tcmicro_agent.datapath import events as kernel_events
from tcmicro_agent.documents import document
from tcmicro_agent.events import Event, Sum, reason_name, verdict
from tcmicro_agent.listing import PROTOCOLS
from tcmicro_agent.policy.model import WORLD, Bundle
from tcmicro_agent.reconcile import Agent


@dataclass(frozen=True)
class Names:
    """Of one generation: rules as (uid, source) by counter index, identities by number."""

    rules: Mapping[int, tuple[str, str]] = field(default_factory=dict)
    identities: Mapping[int, str] = field(default_factory=dict)

    def rule(self, number: int) -> tuple[str, str]:
        return self.rules.get(number, ("", ""))

    def identity(self, number: int) -> str:
        return "world" if number == WORLD else self.identities.get(number, str(number))


class Generations:
    """The names of every generation that a slot holds; of others the numbers may mean something else by now."""

    def __init__(self, agent: Agent) -> None:
        self._agent = agent
        self._known: dict[int, Names] = {}

    def names(self, generation: int) -> Names:
        if generation not in self._known:
            self._known[generation] = self._look_up(generation)
        return self._known[generation]

    def _look_up(self, generation: int) -> Names:
        headers = self._agent.kernel.headers()
        header = next((h for h in headers if generation and h.generation == generation), None)
        bundle = self._agent.enforced(header) if header else None
        return _names(bundle, self._agent.store.books().numbers) if bundle else Names()


def event(found: Event, names: Names, boot_ns: int) -> dict[str, Any]:
    """`boot_ns`: wall-clock time of the boot, so that an event has a date."""
    rule, source = names.rule(found.rule)
    return document(
        "Event",
        time=_time(boot_ns + found.time_ns),
        **_judged(found),
        local=str(found.local or ""),
        local_port=found.local_port,
        remote=str(found.remote or ""),
        remote_port=found.remote_port,
        identity=names.identity(found.identity),
        rule=rule,
        source=source,
        interface=_interface(found.ifindex),
        bytes=found.octets,
    )


def sums(agent: Agent) -> dict[str, Any]:
    """What was told but not sent; `forgotten`: summed once, and its sum is gone since."""
    found, told = kernel_events.sums(agent.kernel), kernel_events.told(agent.kernel)
    generations = Generations(agent)
    return document(
        "EventSums",
        sums=[_sum(entry, generations.names(entry.generation)) for entry in found],
        **vars(told),
        forgotten=max(told.summed - sum(entry.packets for entry in found), 0),
    )


def _sum(found: Sum, names: Names) -> dict[str, Any]:
    rule, source = names.rule(found.rule)
    return {
        **_judged(found),
        "port": found.port,
        "rule": rule,
        "source": source,
        "packets": found.packets,
        "bytes": found.octets,
    }


def _judged(found: Event | Sum) -> dict[str, Any]:
    return {
        "verdict": verdict(found.reason, found.bank).name.lower(),
        "direction": found.direction.name.lower(),
        "reason": reason_name(found.reason),
        "bank": found.bank.name.lower(),
        "generation": found.generation,
        "protocol": PROTOCOLS.get(found.protocol, str(found.protocol)) if found.protocol else "",
    }


def _names(bundle: Bundle, numbers: Mapping[str, int]) -> Names:
    sources = {
        tables.DEFAULT_UID.format("ingress"): bundle.default_source[0],
        tables.DEFAULT_UID.format("egress"): bundle.default_source[1],
        tables.FORWARD_UID: bundle.forward_source,
        **{rule.uid: rule.source for rule in bundle.rules},
    }
    return Names(
        rules={numbers[uid]: (uid, source) for uid, source in sources.items() if uid in numbers},
        identities={info.number: info.name for info in bundle.identities},
    )


def _time(wall_ns: int) -> str:
    moment = datetime.fromtimestamp(wall_ns / 1e9, timezone.utc)
    return moment.isoformat(timespec="milliseconds")


def _interface(index: int) -> str:
    try:
        return socket.if_indextoname(index)
    except OSError:
        return str(index)
