# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The policies that a drill rolls out beside those of the inventory. Pure.

Their rules end by themselves, on the host and by its clock, as those of any policy with `expires` do.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

FILE = "drill.yml"
ANYBODY, FLEET = [{"entity": "any"}], [{"entity": "fleet"}]
RULES: Mapping[str, Mapping[str, Any]] = {
    "ssh_cut": {
        "ingress": [{"id": "nobody-in", "action": "deny", "from": ANYBODY, "ports": ["any"]}],
        "egress": [{"id": "nobody-out", "action": "deny", "to": ANYBODY, "ports": ["any"]}],
    },
    "peers_only": {
        "ingress": [{"id": "no-peers", "action": "deny", "from": FLEET, "ports": ["any"]}],
    },
}


def text(fault: str, hosts: Iterable[str], expires: str) -> str:
    """A policy file (JSON is YAML, too) that plants the fault on these hosts until `expires`, like 2026-12-01T08:00:00Z."""
    rules = {
        direction: [{**rule, "expires": expires} for rule in found]
        for direction, found in RULES[fault].items()
    }
    document = {
        "apiVersion": "tcmicro/v1",
        "kind": "Policy",
        "metadata": {"name": f"drill-{fault.replace('_', '-')}", "owner": "drill"},
        "spec": {
            "tier": "quarantine",
            "mode": "protect",
            "applyTo": {"hosts": sorted(hosts)},
            "default": {"ingress": "allow", "egress": "allow"},
            **rules,
        },
    }
    return json.dumps(document, indent=1) + "\n"
