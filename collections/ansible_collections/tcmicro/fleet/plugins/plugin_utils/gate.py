# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What must hold on every host after a change, whatever its numbers say (L0). Pure.

Each host is described by two looks of agent_info, before its change and after the bake. Missing data never
passes: a host that does not answer fails, one that answers half is inconclusive.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from ansible_collections.tcmicro.fleet.plugins.plugin_utils.judge.lattice import Outcome
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.looks import (
    Look,
    first_line,
    running,
    trouble,
)


@dataclass(frozen=True)
class Reason:
    """What was found on a host, by which invariant; "" where it could not even be asked."""

    host: str
    invariant: str
    outcome: Outcome
    text: str


@dataclass(frozen=True)
class Evidence:
    """All that is known of a wave. `failures`: what already went wrong, by host.

    `release`: the one that each must run; "" where it must be the one it ran. `digests`: of the bundles that the hosts
    must hold; a host without must hold what it held.
    """

    release: str
    seconds: int
    before: Mapping[str, Look]
    after: Mapping[str, Look]
    failures: Mapping[str, str]
    digests: Mapping[str, str] = field(default_factory=dict)


def broken(host: str, evidence: Evidence, invariants: Iterable[str]) -> list[Reason]:
    """Which of these invariants do not hold on a host, and what hides whether they do."""

    def reason(outcome: Outcome, text: str, invariant: str = "") -> list[Reason]:
        return [Reason(host, invariant, outcome, text)]

    if host in evidence.failures:
        return reason(Outcome.FAIL, first_line(evidence.failures[host]))
    before, after = evidence.before.get(host), evidence.after.get(host)
    lost = trouble(after)
    if lost or after is None:
        return reason(Outcome.FAIL, lost)
    if trouble(before) or before is None:
        return reason(Outcome.INCONCLUSIVE, "how it was before the change is not known")
    case = Case(host, before, after, evidence)
    try:
        found = [(name, text) for name in invariants for text in INVARIANTS[name](case)]
    except (KeyError, TypeError, AttributeError) as exc:
        return reason(Outcome.INCONCLUSIVE, f"its status lacks {exc}")
    return [Reason(host, name, Outcome.FAIL, text) for name, text in found]


def unwell(info: Look | None) -> list[str]:
    """Why a host is in no state to be changed, or to be left alone; [] when it is."""
    lost = trouble(info)
    if lost or info is None:
        return [lost]
    try:
        return [
            text for check in (_service, _datapath, _transaction, _lease) for text in check(info)
        ]
    except (KeyError, TypeError, AttributeError) as exc:
        return [f"its status lacks {exc}"]


def _service(info: Look) -> Iterable[str]:
    if info["service"]["active"] is not True:
        yield f"the service is {info['service']['state']}"
    elif info["status"]["agent"]["running"] is not True:
        yield "the service is active, yet the agent does not run"


def _datapath(info: Look) -> Iterable[str]:
    datapath = info["status"]["datapath"]
    if datapath["loaded"] is not True:
        yield "the datapath is not loaded"
    if not datapath["interfaces"]:
        yield "no interface is guarded"
    for interface in datapath["interfaces"]:
        bare = [way for way in ("ingress", "egress") if not interface[way]]
        if bare:
            yield f"{interface['name']} is not guarded on {' and '.join(bare)}"


def _transaction(info: Look) -> Iterable[str]:
    transaction = info["status"]["transaction"]
    if transaction and transaction["state"] == "pending":
        yield f"a policy change is pending (generation {transaction['generation']})"


def _lease(info: Look) -> Iterable[str]:
    """What a rollout does itself while it judges, but nobody else may."""
    transaction = info["status"]["transaction"]
    if transaction and transaction["state"] == "leased":
        yield f"a policy is under a lease (generation {transaction['generation']})"


# --- what must hold between the two looks


@dataclass(frozen=True)
class Case:
    """Two looks at one host, and what is expected of it."""

    host: str
    before: Look
    after: Look
    evidence: Evidence


def _well(case: Case) -> Iterable[str]:
    yield from (text for check in (_service, _datapath, _transaction) for text in check(case.after))


def _release(case: Case) -> Iterable[str]:
    wanted = case.evidence.release or running(case.before)
    if running(case.after) not in (None, wanted):
        yield f"it runs release {running(case.after)}, wanted {wanted}"


def _restarts(case: Case) -> Iterable[str]:
    """systemd counts from 0 again when the unit is restarted on request, as a change of release does."""
    changed = running(case.before) != running(case.after)
    earlier = 0 if changed else case.before["service"]["restarts"]
    count = case.after["service"]["restarts"] - earlier
    if count:
        yield f"{count} restarts in {case.evidence.seconds} s, allowed 0"


def _interfaces(case: Case) -> Iterable[str]:
    lost = _names(case.before) - _names(case.after)
    if lost:
        yield f"no longer guarded: {', '.join(sorted(lost))}"


def _policy(case: Case) -> Iterable[str]:
    was, now = case.before["status"]["policy"], case.after["status"]["policy"]
    wanted = case.evidence.digests.get(case.host)
    if wanted and now["digest"] != wanted:
        yield f"the policy is {now['digest'][:12] or 'none'}, wanted {wanted[:12]}"
    elif not wanted and (was["generation"], was["digest"]) != (now["generation"], now["digest"]):
        yield f"the policy is another: generation {was['generation']} before, {now['generation']} now"


def _drift(case: Case) -> Iterable[str]:
    if case.after["status"]["drift"]:
        yield f"the kernel differs from what is recorded: {case.after['status']['drift'][0]}"


def _names(info: Look) -> set[str]:
    return {interface["name"] for interface in info["status"]["datapath"]["interfaces"]}


INVARIANTS: Mapping[str, Callable[[Case], Iterable[str]]] = {
    "restarts": _restarts,
    "well": _well,
    "release": _release,
    "interfaces": _interfaces,
    "policy": _policy,
    "drift": _drift,
}
