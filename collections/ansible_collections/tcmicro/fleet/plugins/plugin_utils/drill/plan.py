# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a drill plants its fault: on which hosts of the rollout's plan, for how long. Pure.

Never on more hosts than asked for, and never on more than a fifth of the fleet, or one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ansible_collections.tcmicro.fleet.plugins.plugin_utils import course
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.drill.faults import (
    ARTIFACT,
    DrillRefused,
    Fault,
    find,
)
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.journal.opening import is_yes
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.tables import count

MOST_SHARE = 5  # of so many hosts, one
SUFFIX = "-drill"  # of the version of an artifact that was made to be bad
LEAST_S, MOST_S = 60, 86400


@dataclass(frozen=True)
class Request:
    """A drill as asked for. `bake` is that of the rollout, in seconds."""

    fault: Fault
    release: str
    hosts: int
    wave: int
    amount: int
    expires_s: int
    bake: int

    @property
    def version(self) -> str:
        """The release that is rolled out; "" for policies."""
        return self.release + SUFFIX if self.fault.how == ARTIFACT else self.release


@dataclass(frozen=True)
class Plan:
    """`hosts` get the fault, in wave `wave` of `waves`, after which `exposure` of `fleet` hosts have the change."""

    id: str
    fault: str
    what: str
    how: str
    level: str
    amount: int
    unit: str
    version: str
    hosts: tuple[str, ...]
    wave: int
    waves: int
    exposure: int
    fleet: int
    expires_s: int
    seed: int

    def document(self) -> dict[str, Any]:
        return {**asdict(self), "hosts": list(self.hosts)}

    def lines(self) -> list[str]:
        """What is going to happen, for people."""
        much = f", {self.amount} {self.unit}" if self.unit else ""
        change = f"release {self.version}" if self.version else "the policies"
        named, noun = ", ".join(self.hosts), count(self.hosts)
        return [
            f"drill {self.id}: {self.what}{much}",
            f"planted on {noun} of {self.fleet}: {named}; gone by itself after {self.expires_s} s",
            f"rolled out: {change}; to be stopped in wave {self.wave} of {self.waves}, at {self.exposure} of {self.fleet} hosts"
            f" at most, by level {self.level}",
        ]


def read(args: Mapping[str, Any]) -> Request:
    """The request of numbers and names that may be text. Raises DrillRefused with all faults of it."""
    fault = find(args.get("fault"))
    wrong: list[str] = []

    def number(name: str, default: int, least: int, most: int) -> int:
        value = default if args.get(name) in (None, "") else args[name]
        text = str(value)
        if not (text.isascii() and text.isdigit() and least <= int(text) <= most):
            wrong.append(
                f"drill_{name}: {value!r} is not allowed; allowed is a whole number from {least} to {most}"
            )
            return least
        return int(text)

    bake = number("bake", 60, 0, MOST_S)
    wave = number("wave", 1, 1, 100)
    needed = bake + LEAST_S
    lasting = min(MOST_S, course.trial_s(bake) * wave)
    found = Request(
        fault=fault,
        release=str(args.get("release") or ""),
        hosts=number("hosts", 1, 1, 10_000),
        wave=wave,
        amount=number("amount", fault.amount, fault.least, fault.most) if fault.unit else 0,
        expires_s=number("expires_s", lasting, min(needed, MOST_S), MOST_S),
        bake=bake,
    )
    wrong += _mistaken(found, policy=is_yes(args.get("policy")))
    if wrong:
        raise DrillRefused("\n".join(wrong))
    return found


def _mistaken(request: Request, *, policy: bool) -> Iterator[str]:
    """A release for what is planted in one, and none for what is a policy."""
    name = request.fault.name
    if request.fault.of_policy and request.release:
        yield f"{name} is planted by a policy, so the policies are rolled out: leave -e release=… out"
    if not request.fault.of_policy and policy:
        yield f"{name} is planted with a release: leave -e policy=… out"
    if not request.fault.of_policy and not request.release:
        yield f"{name} is planted with a release: name one that the hosts do not run yet, -e release=0.1.1"


def plan(request: Request, rollout: Mapping[str, Any], runs: Mapping[str, str], name: str) -> Plan:
    """`rollout`: the RolloutPlan; `runs`: the release each host runs; `name`: the id. Raises DrillRefused."""
    waves: Sequence[Mapping[str, Any]] = rollout["waves"]
    if request.wave > len(waves):
        raise DrillRefused(
            f"drill_wave: {request.wave} is not allowed; the rollout has {len(waves)} waves"
        )
    wave, fleet, fault = waves[request.wave - 1], int(rollout["fleet"]), request.fault
    hosts = tuple(wave["hosts"][: cap(request.hosts, fleet)])
    same = [host for host in hosts if request.version and runs.get(host) == request.version]
    if same:
        raise DrillRefused(
            f"{', '.join(same)}: runs release {request.version} already, so nothing would be changed there; "
            "name a release that is not there yet"
        )
    return Plan(
        id=name,
        fault=fault.name,
        what=fault.what,
        how=fault.how,
        level=fault.level,
        amount=request.amount,
        unit=fault.unit,
        version=request.version,
        hosts=hosts,
        wave=request.wave,
        waves=len(waves),
        exposure=int(wave["exposure"]),
        fleet=fleet,
        expires_s=request.expires_s,
        seed=int(rollout["seed"]),
    )


def cap(asked: int, fleet: int) -> int:
    """On how many hosts at most."""
    return min(asked, max(1, fleet // MOST_SHARE))
