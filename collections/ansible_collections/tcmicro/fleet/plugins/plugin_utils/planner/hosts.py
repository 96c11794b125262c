# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host as the planner sees it: its class, where it stands, whom it stands in for. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from ansible_collections.tcmicro.fleet.plugins.plugin_utils import gate
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.planner.errors import RolloutError

CANARY, NORMAL, INFRA = "canary", "normal", "infra"
RINGS = (CANARY, NORMAL, INFRA)
UNKNOWN = "unknown"
VARIABLES = (
    "group_names",
    "tcmicro_class",
    "tcmicro_role",
    "tcmicro_site",
    "tcmicro_rack",
    "tcmicro_ha_group",
    "tcmicro_ring",
    "tcmicro_change_windows",
)


@dataclass(frozen=True)
class Host:
    """One host that can take part. `domain` and `ha_group` are "" where nothing is known."""

    name: str
    class_name: str
    role: str
    site: str = ""
    domain: str = ""
    ha_group: str = ""
    ring: str = NORMAL

    @property
    def kind(self) -> str:
        """Of hosts of ring infra, what never changes twice in one wave."""
        return self.ha_group or self.role


def rank(seed: int, text: str) -> bytes:
    """A place in an order that looks random, and is the same for the same seed."""
    return sha256(f"{seed}/{text}".encode()).digest()


def read(name: str, look: Mapping[str, Any], variables: Mapping[str, Any]) -> Host:
    """A host of what agent_info saw and of its inventory variables. Raises RolloutError."""
    site, rack, ha_group, role = (
        _text(name, variables, f"tcmicro_{word}") for word in ("site", "rack", "ha_group", "role")
    )
    role = role or _role(variables.get("group_names") or ())
    return Host(
        name=name,
        class_name=_text(name, variables, "tcmicro_class") or _class(look.get("facts"), role),
        role=role,
        site=site,
        domain="/".join(part for part in (site, rack) if part),
        ha_group=ha_group,
        ring=_ring(name, variables),
    )


def unready(look: Mapping[str, Any] | None) -> list[str]:
    """Why a host cannot take part; [] when it can."""
    reasons = gate.unwell(look)
    if not reasons and look is not None and not look.get("releases", {}).get("current"):
        reasons.append("no release is current there: run playbooks/deploy.yml")
    return reasons


def _class(facts: Mapping[str, Any] | None, role: str) -> str:
    """Kernel series, architecture, distribution and role, as far as they are known."""
    known = facts or {}
    series = ".".join(str(known.get("kernel") or UNKNOWN).split("-")[0].split(".")[:2])
    system = "-".join(str(known[key]) for key in ("distribution", "version") if known.get(key))
    return "/".join((series, str(known.get("arch") or UNKNOWN), system or UNKNOWN, role or "any"))


def _role(groups: Any) -> str:
    """The groups of the inventory but those that every host is in, and those made by our plays."""
    return "+".join(
        sorted(
            str(group)
            for group in groups
            if group not in ("all", "ungrouped") and not str(group).startswith("tcmicro")
        )
    )


def _ring(name: str, variables: Mapping[str, Any]) -> str:
    ring = _text(name, variables, "tcmicro_ring") or NORMAL
    if ring not in RINGS:
        raise RolloutError(
            f"{name}: tcmicro_ring: {ring!r} is no ring; allowed is {', '.join(RINGS)}"
        )
    return ring


def _text(name: str, variables: Mapping[str, Any], variable: str) -> str:
    value = variables.get(variable)
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        raise RolloutError(f"{name}: {variable}: {value!r} is not allowed; allowed is a name")
    return str(value).strip()
