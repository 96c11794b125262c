# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A rollout before its first wave: may it start, and who is changed when. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Any

from ansible_collections.tcmicro.fleet.plugins.plugin_utils.planner import request as requests
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.planner import windows
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.planner.blind import (
    Seen,
    blind,
    coverage,
    some,
)
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.planner.controls import controls
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.planner.document import (
    Plan,
    PlannedWave,
)
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.planner.errors import RolloutError
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.planner.hosts import Host, read, unready
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.planner.request import Request
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.planner.selection import (
    EARLY,
    Selection,
    select,
)
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.planner.stages import steps
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.tables import count

SMALL = 20  # hosts; below that a quarter of the fleet is too few to hold a host of each class

Variables = Mapping[str, Mapping[str, Any]]


def plan(request: Request, seen: Mapping[str, Any], variables: Variables) -> Plan:
    """Plan over the hosts that are well: looks and inventory variables by host. Raises RolloutError."""
    wanted = {name: seen.get(name) for name in sorted(set(request.hosts))}
    missing = {
        name: "; ".join(reasons) for name, look in wanted.items() if (reasons := unready(look))
    }
    hosts = [
        read(name, look or {}, variables.get(name, {}))
        for name, look in wanted.items()
        if name not in missing
    ]
    if not hosts:
        raise RolloutError(f"no host can take part; nothing was changed{_listed(missing)}")
    return _planned(request, hosts, missing, variables)


def _planned(
    request: Request, hosts: Sequence[Host], missing: Mapping[str, str], variables: Variables
) -> Plan:
    wanted = steps(len(hosts), request.stages)
    selection = select(hosts, wanted, request.seed)
    sets = [wave.hosts for wave in selection.waves]
    others = controls(sets, request.seed)
    classes = coverage(sets)
    requests.refuse_unknown(
        "accept_blind", request.accept_blind, [entry.class_name for entry in classes]
    )
    return Plan(
        seed=request.seed,
        stages=tuple(step.stage for step in wanted),
        waves=_numbered(selection, others),
        holdback=tuple(host.name for host in sets[-1]) if selection.held else (),
        missing=missing,
        coverage=tuple(classes),
        blind=tuple(blind(sets, others, classes)),
        refusals=(
            *_too_many_missing(missing, request.allow_missing),
            *_unseen(classes, len(hosts), len(sets), request.accept_blind),
            *_closed(request, hosts, variables),
        ),
    )


def _numbered(selection: Selection, others: Sequence[Sequence[Host]]) -> tuple[PlannedWave, ...]:
    exposures = accumulate(len(wave.hosts) for wave in selection.waves)
    return tuple(
        PlannedWave(number, wave.stage, wave.hosts, tuple(matched), exposure)
        for number, (wave, matched, exposure) in enumerate(
            zip(selection.waves, others, exposures, strict=True), 1
        )
    )


def _too_many_missing(missing: Mapping[str, str], allowed: int) -> Iterator[str]:
    if len(missing) > allowed:
        yield (
            f"{count(missing)} cannot take part, {allowed} may be missing; nothing was changed:{_listed(missing)}\n"
            f"Mend them, or go on without them: -e allow_missing={len(missing)}"
        )


def _listed(missing: Mapping[str, str]) -> str:
    return "".join(f"\n  {host}: {reason}" for host, reason in sorted(missing.items()))


def _unseen(
    classes: Sequence[Seen], fleet: int, waves: int, accepted: Sequence[str]
) -> Iterator[str]:
    """Classes without a canary in time: by a quarter of the fleet, in a small one before the last wave.

    A class of one host has none to spare, and its fault reaches no other.
    """
    limit = -(-EARLY * fleet // 100)
    for entry in classes:
        early = entry.first_wave < waves if fleet < SMALL else entry.exposure <= limit
        known = early or entry.hosts == 1 or {requests.ALL, entry.class_name} & set(accepted)
        if not known:
            allowed = "a wave before the last" if fleet < SMALL else f"up to {limit} ({EARLY} %)"
            yield (
                f"class {entry.class_name} ({count(range(entry.hosts))}) is first seen in wave {entry.first_wave}, at"
                f" {entry.exposure} of {fleet} hosts; allowed is {allowed}. Add an earlier stage (-e waves=…),"
                f" or go on blind: -e accept_blind={entry.class_name} or {requests.ALL}"
            )


def _closed(request: Request, hosts: Sequence[Host], variables: Variables) -> Iterator[str]:
    """Hosts that may not change now."""
    by_text: dict[str, list[str]] = {}
    values: dict[str, Any] = {}
    for host in hosts:
        value = variables.get(host.name, {}).get("tcmicro_change_windows")
        if value is not None:
            by_text.setdefault(repr(value), []).append(host.name)
            values[repr(value)] = value
    for text, names in by_text.items():
        parsed = windows.parse(f"{min(names)}: tcmicro_change_windows", values[text])
        if not request.regardless and not any(window.open_at(request.now) for window in parsed):
            opens = windows.next_opening(parsed, request.now)
            yield (
                f"{count(names)} ({some(sorted(names))}): {request.now:%Y-%m-%d %H:%M %Z} is outside of the change"
                f" windows {'; '.join(window.text for window in parsed)}; the next opens"
                f" {opens:%a %Y-%m-%d %H:%M %Z}. To go on all the same: -e now=true"
            )
