# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plan a rollout, once, on the controller; fail when it must not start."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

from ansible_collections.tcmicro.fleet.plugins.plugin_utils import artifacts, tables
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.judge import gate_file
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.once import OnceAction
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.planner import request, stages
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.planner.document import Plan
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.planner.errors import (
    RolloutError,
    noting,
)
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.planner.hosts import VARIABLES
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.planner.plan import plan
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.planner.table import table

ARGUMENTS = {
    "release": {"type": "raw", "required": True},
    "artifacts_dir": {"type": "path", "required": True},
    "hosts": {"type": "list", "elements": "str", "required": True},
    "waves": {"type": "raw", "default": list(stages.DEFAULT)},
    "bake": {"type": "raw", "default": 60},
    "allow_missing": {"type": "raw", "default": 0},
    "accept_blind": {"type": "raw"},
    "seed": {"type": "raw"},
    "now": {"type": "raw"},
    "enforce": {"type": "bool", "default": True},
    "allow_unsigned": {"type": "bool", "default": False},
    "policy": {"type": "bool", "default": False},
    "gates": {"type": "path"},
    "resume": {"type": "bool", "default": False},
    "seen": {"type": "dict"},
}


class ActionModule(OnceAction):
    ARGUMENTS = ARGUMENTS
    REFUSALS = (RolloutError,)

    def act(self, args: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        refused = gate_file.faults(args["gates"]) if args["gates"] else []
        asked = None if args["resume"] else _asked(args, refused)
        if refused:
            raise RolloutError("\n".join(refused))
        if asked is None:
            return {}
        bake, wanted = asked
        if args["seen"] is None:
            return {"bake": bake}
        variables = tables.of_hosts(args["hosts"], task_vars.get("hostvars", {}), VARIABLES)
        planned = plan(wanted, args["seen"], variables)
        if planned.refusals and args["enforce"]:
            raise RolloutError("\n".join(planned.refusals))
        return {"bake": bake, **_result(planned, args["release"], bake)}


def _asked(args: dict[str, Any], refused: list[str]) -> tuple[int, request.Request]:
    """The bake and the request; of no use where anything of it was refused."""
    bake = noting(refused, lambda: request.whole_number("bake", args["bake"], least=0))
    wanted = noting(refused, lambda: request.read(args, datetime.now().astimezone()))
    noting(refused, lambda: _examine_artifacts(args))
    return bake, wanted


def _examine_artifacts(args: dict[str, Any]) -> None:
    if args["policy"]:
        return
    try:
        found = artifacts.find(args["release"], Path(args["artifacts_dir"]))
        if not args["allow_unsigned"]:
            artifacts.refuse_unsigned(found.values())
    except artifacts.ArtifactError as exc:
        raise RolloutError(str(exc)) from exc


def _result(planned: Plan, release: str, bake: int) -> dict[str, Any]:
    return {
        "plan": planned.document(),
        "ready": planned.ready,
        "missing": dict(planned.missing),
        "waves": [len(wave.hosts) for wave in planned.waves],
        "wave_of": planned.wave_of(),
        "refusals": list(planned.refusals),
        "table": table(planned, release, bake),
    }
