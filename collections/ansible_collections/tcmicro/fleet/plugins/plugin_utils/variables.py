# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which variables under our prefix somebody reads; every other one is a mistake that would change nothing. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches

PREFIX = "tcmicro_"
# What the inventory or -e may say and no role has as an option.
SETTINGS = frozenset(
    (
        *("tcmicro_addresses", "tcmicro_labels"),
        *("tcmicro_controller_addresses", "tcmicro_resolvers"),
        *("tcmicro_site", "tcmicro_rack", "tcmicro_ha_group", "tcmicro_ring"),
        *("tcmicro_role", "tcmicro_class", "tcmicro_change_windows"),
        *("tcmicro_policies", "tcmicro_artifacts_dir", "tcmicro_bundles_dir"),
        *("tcmicro_rollouts_dir", "tcmicro_state_file"),
        *("tcmicro_pull_mirror", "tcmicro_pull_ca", "tcmicro_pull_confirm"),
        *("tcmicro_pull_directory", "tcmicro_pull_valid_s", "tcmicro_pull_grace_s"),
        *("tcmicro_release_keys", "tcmicro_policy_keys", "tcmicro_allow_unsigned"),
        *("tcmicro_notify_webhook", "tcmicro_notify_command"),
    )
)
# What plays register or set: a play that ran before in the same run leaves it on hosts.
FACTS = frozenset(
    (
        *("tcmicro_agent_before", "tcmicro_agent_found", "tcmicro_agent_installed"),
        "tcmicro_agent_prerequisites",
        *("tcmicro_asked_at", "tcmicro_back", "tcmicro_bundles", "tcmicro_end", "tcmicro_kept"),
        *("tcmicro_drill", "tcmicro_drill_after", "tcmicro_drill_asked", "tcmicro_drill_before"),
        *("tcmicro_drill_planted", "tcmicro_drill_removed", "tcmicro_drill_run"),
        *("tcmicro_drill_verdict", "tcmicro_drill_waves"),
        *("tcmicro_gate_after", "tcmicro_gate_before", "tcmicro_gate_broken", "tcmicro_gate_early"),
        *("tcmicro_gate_controls_after", "tcmicro_gate_controls_before"),
        *("tcmicro_gate_meanwhile", "tcmicro_gate_verdict"),
        *("tcmicro_plan", "tcmicro_preflight", "tcmicro_prerequisites", "tcmicro_report"),
        *("tcmicro_policy_change", "tcmicro_policy_fetched"),
        *("tcmicro_policy_kept", "tcmicro_policy_staged"),
        *("tcmicro_policy_pull_removed", "tcmicro_policy_pull_service"),
        *("tcmicro_policy_pull_started", "tcmicro_policy_pull_timer"),
        *("tcmicro_published", "tcmicro_pulled", "tcmicro_pulls"),
        *("tcmicro_rollback_after", "tcmicro_rollback_done", "tcmicro_rollback_fetched"),
        *("tcmicro_rollback_reverted", "tcmicro_rollback_unstaged"),
        *("tcmicro_rollout", "tcmicro_seen", "tcmicro_status", "tcmicro_step", "tcmicro_waves"),
        "tcmicro_state",  # by the inventory plugin
    )
)
# Read by awx/configure.yml alone, which is not part of the collection.
ELSEWHERE = "tcmicro_awx_"
# Names that were read once, and what to do now. A name stays here for as long as inventories may hold it.
RETIRED: Mapping[str, str] = {}
SHOWN = 3  # hosts in a line
NEAR = 0.7  # of 1, below which a name is no better guess than another


class VariableError(Exception):
    """Variables that nothing reads; the text names all of them."""


def faults(
    named: Mapping[str, Iterable[str]],
    options: Iterable[str],
    retired: Mapping[str, str] = RETIRED,
) -> list[str]:
    """One line for each variable that nothing reads, in order. `named` are names by host; `options` are those of roles."""
    settable = SETTINGS | set(options)
    hosts: dict[str, list[str]] = {}
    for host, names in named.items():
        for name in names:
            if _wrong(name, settable):
                hosts.setdefault(name, []).append(host)
    return [
        f"{name} ({_some(hosts[name])}): {_advice(name, settable, retired)}"
        for name in sorted(hosts)
    ]


def _wrong(name: str, settable: frozenset[str]) -> bool:
    ours = name.startswith(PREFIX) and not name.startswith(ELSEWHERE)
    return ours and name not in settable and name not in FACTS


def _advice(name: str, settable: frozenset[str], retired: Mapping[str, str]) -> str:
    if name in retired:
        return retired[name]
    known = sorted(one.removeprefix(PREFIX) for one in settable)
    near = get_close_matches(name.removeprefix(PREFIX), known, n=1, cutoff=NEAR)
    return f"unknown; did you mean {PREFIX}{near[0]}?" if near else "unknown"


def _some(hosts: list[str]) -> str:
    more = len(hosts) - SHOWN
    return ", ".join(sorted(hosts)[:SHOWN]) + (f" and {more} more" if more > 0 else "")


def report(found: Iterable[str]) -> str:
    """All faults as one text."""
    return "\n".join(_lines(found))


def _lines(found: Iterable[str]) -> Iterator[str]:
    yield "variables that nothing reads (names with tcmicro_ are those of this collection):"
    yield from (f"  {line}" for line in found)
