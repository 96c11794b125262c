# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Judge a wave, once, on the controller. Never fails for what it finds: the verdict is data, stopping is the playbook's."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from ansible_collections.tcmicro.fleet.plugins.plugin_utils.judge import (
    gate_file,
    judge,
    prometheus,
    series,
    staged,
)
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.judge.evidence import Evidence
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.once import OnceAction

from tcmicro_agent.policy.inventory_facts import addresses

ARGUMENTS = {
    "hosts": {"type": "list", "elements": "str", "required": True},
    "controls": {"type": "list", "elements": "str", "default": []},
    "release": {"type": "str", "default": ""},
    "digests": {"type": "dict", "default": {}},
    "seconds": {"type": "int", "default": 0},
    "extension": {"type": "int", "default": 0},
    "before": {"type": "dict", "required": True},
    "after": {"type": "dict", "required": True},
    "failures": {"type": "dict", "default": {}},
    "expected_diffs": {"type": "list", "elements": "dict", "default": []},
    "began": {"type": "dict", "default": {}},
    "gates": {"type": "path"},
    "previous": {"type": "dict"},
    "only_invariants": {"type": "bool", "default": False},
    "prometheus_url": {"type": "str", "default": ""},
}


class ActionModule(OnceAction):
    ARGUMENTS = ARGUMENTS
    REFUSALS = (gate_file.GateFileError,)

    def act(self, args: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        shown: dict[str, Any] = {}
        gates = gate_file.read(args["gates"])
        evidence = _evidence(args, task_vars.get("hostvars", {}))
        if args["only_invariants"]:
            verdict = judge.judge_invariants(evidence, gates, args["previous"])
        else:
            if args["prometheus_url"]:
                evidence = prometheus.with_samples(
                    evidence, gates, args["prometheus_url"], time.time()
                )
            verdict = judge.judge(evidence, gates, args["previous"])
            shown["series"] = series.series(evidence, gates, verdict)
            shown["figures"] = series.figures(evidence, gates)
            shown["staged"] = staged.figures(evidence)
        return {
            **shown,
            **verdict.document(),
            "verdict": verdict.outcome.value,
            "passed": verdict.outcome.value == "pass",
            "reasons": judge.reasons(verdict),
            "table": judge.table(evidence, verdict),
        }


def _evidence(args: Mapping[str, Any], hostvars: Mapping[str, Any]) -> Evidence:
    concerned = [*args["hosts"], *args["controls"]]
    return Evidence(
        release=args["release"],
        seconds=args["seconds"],
        before=args["before"],
        after=args["after"],
        failures=args["failures"],
        digests=args["digests"],
        hosts=tuple(args["hosts"]),
        controls=tuple(args["controls"]),
        extension=args["extension"],
        addresses={host: _known_by(hostvars.get(host, {})) for host in concerned},
        expected=tuple(args["expected_diffs"]),
        began=args["began"],
    )


def _known_by(variables: Mapping[str, Any]) -> tuple[str, ...]:
    """The addresses of a host, or else the name it is reached by, which Prometheus may know it by."""
    listed = addresses(variables) or [variables.get("ansible_host")]
    return tuple(str(address) for address in listed if address)
