"""What is well formed and probably not meant: checks of policies over an inventory, beyond what `resolve` refuses.

The work is done once per distinct bundle and per rule, not per host.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tcmicro_agent.policy.checks import halves, hosts, rules, shadows
from tcmicro_agent.policy.checks.scene import Limits, Scene
from tcmicro_agent.policy.intent import Policy
from tcmicro_agent.policy.inventory import Inventory
from tcmicro_agent.policy.model import Bundle
from tcmicro_agent.policy.problems import Fault, Problems

__all__ = ["Limits", "check"]

CHECKS = (
    rules.duplicates,
    rules.world_open,
    rules.times,
    rules.ipv6_forgotten,
    shadows.shadowed,
    halves.half_open,
    hosts.without_resolver,
    hosts.controller_cut,
    hosts.too_large,
)


def check(
    policies: Sequence[Policy], inventory: Inventory, bundles: Mapping[str, Bundle], limits: Limits
) -> tuple[Fault, ...]:
    """What is wrong or doubtful with policies that `resolve` made these bundles of, in order of files and lines."""
    scene, problems = Scene(policies, inventory, bundles, limits), Problems()
    for look in CHECKS:
        look(scene, problems)
    return problems.faults()
