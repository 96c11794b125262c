# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a status run saw of every host, kept for later: the document FleetState, and the groups that follow from it. Pure.

A host belongs to a group only by a look that is young enough; what nobody knows lately is stale, and nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta, timezone
from typing import Any

from ansible_collections.tcmicro.fleet.plugins.plugin_utils.looks import Look, running, trouble

from tcmicro_agent.errors import InputErrors
from tcmicro_agent.jsonutil import Reader, read
from tcmicro_agent.policy.inventory_facts import STATE_PREFIX

UTC = timezone(timedelta(0))
KIND, SCHEMA = "FleetState", 1
TIME = "%Y-%m-%dT%H:%M:%SZ"
STALE = f"{STATE_PREFIX}stale"
MAX_GENERATION = 2**32 - 1


class StateError(InputErrors):
    """A state file is not what a status run writes."""


@dataclass(frozen=True)
class State:
    """One host as it was `seen` (UTC). What is not known, or not there, is empty; `pending` names what is on trial."""

    seen: datetime
    contact: bool
    problem: str
    release: str = ""
    generation: int = 0
    digest: str = ""
    mode: str = ""
    pending: tuple[str, ...] = ()
    drift: tuple[str, ...] = ()

    def to_document(self) -> dict[str, Any]:
        lists = {"pending": list(self.pending), "drift": list(self.drift)}
        return {**asdict(self), **lists, "seen": self.seen.strftime(TIME)}

    def young(self, now: datetime, max_age: float) -> bool:
        """A look from the future is not to be believed either: a clock was wrong."""
        return 0 <= (now - self.seen).total_seconds() <= max_age


def moment(text: str) -> datetime:
    """A time as the document has it. Raises ValueError."""
    try:
        return datetime.strptime(text, TIME).replace(tzinfo=UTC)
    except ValueError:
        raise ValueError(f"{text!r} is no time like 2026-12-01T08:00:00Z") from None


def parse(document: object) -> dict[str, State]:
    """The hosts of a FleetState, by name. StateError with every fault of it."""
    return read(document, _hosts, StateError)


def record(
    looks: Mapping[str, Look], hosts: Iterable[str], *, seen: str, before: Any, known: Iterable[str]
) -> dict[str, Any]:
    """The document after a run over `hosts`. Of the others that the inventory knows it keeps what is in `before`."""
    kept = parse(before) if before else {}
    found = {host: state for host, state in kept.items() if host in set(known)}
    at = moment(seen)
    found.update({host: observed(looks.get(host), at) for host in hosts})
    rows = {host: found[host].to_document() for host in sorted(found)}
    return {"kind": KIND, "schema": SCHEMA, "hosts": rows}


def observed(look: Look | None, seen: datetime) -> State:
    """A host by what agent_info returned."""
    contact = look is not None and not look.get("unreachable")
    problem = trouble(look)
    if problem or look is None:
        return State(seen, contact, problem)
    status, policy, service = look["status"], look["status"]["policy"], look["service"]
    live = bool(policy["generation"])
    return State(
        seen=seen,
        contact=True,
        problem="" if service["active"] else f"the service is {service['state']}",
        release=str(running(look) or ""),
        generation=int(policy["generation"] or 0),
        digest=str(policy["digest"] or "") if live else "",
        mode=str(policy.get("mode") or "") if live else "",
        pending=_pending(look),
        drift=tuple(map(str, status["drift"])),
    )


def groups(state: State | None, now: datetime, max_age: float) -> list[str]:
    """The groups of one host, of the inventory plugin tcmicro.fleet.state; None is a host that was never looked at."""
    if state is None or not state.young(now, max_age):
        return [STALE]
    if not state.contact:
        return [f"{STATE_PREFIX}unreachable"]
    values = {
        "release": state.release,
        "generation": str(state.generation or ""),
        "policy": state.digest[:12],
        "mode": state.mode,
    }
    flags = {"pending": state.pending, "drift": state.drift, "unwell": state.problem}
    named = [f"{name}_{_safe(value)}" for name, value in values.items() if value]
    return [f"{STATE_PREFIX}{name}" for name in (*named, *(f for f, on in flags.items() if on))]


def _pending(look: Look) -> tuple[str, ...]:
    release, policy = look.get("transaction") or {}, look["status"].get("transaction") or {}
    on_trial = {
        "policy": policy.get("state") in ("pending", "leased"),
        "release": release.get("state") == "pending",
    }
    return tuple(name for name, pending in on_trial.items() if pending)


def _safe(text: str) -> str:
    """As part of a group's name."""
    return re.sub(r"[^A-Za-z0-9_]", "_", text)


def _hosts(document: Reader) -> dict[str, State]:
    if document.get_str("kind") != KIND:
        document.fault("kind", f"allowed is {KIND}: a file that playbooks/status.yml wrote")
    document.get_int("schema", SCHEMA, SCHEMA, "schema")
    rows = document.get_object("hosts")
    return {name: _state(rows.get_object(name)) for name in rows.names()}


def _state(row: Reader) -> State:
    return State(
        seen=row.get_value("seen", moment, datetime.min.replace(tzinfo=UTC)),
        contact=row.get_bool("contact"),
        problem=row.get_str("problem"),
        release=row.get_str("release"),
        generation=row.get_int("generation", 0, MAX_GENERATION, "generation"),
        digest=row.get_str("digest"),
        mode=row.get_str("mode"),
        pending=row.get_strings("pending"),
        drift=row.get_strings("drift"),
    )
