# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Take a step of a drill, once, on the controller: plan it, roll out with the fault planted, judge what came of it."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

from ansible import context
from ansible.utils.display import Display
from ansible_collections.tcmicro.fleet.plugins.plugin_utils import artifacts
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.drill import (
    damage,
    plan,
    preparing,
    results,
    running,
    verdict,
)
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.drill.faults import (
    ARTIFACT,
    ON_HOST,
    DrillRefused,
)
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.journal import (
    denylist,
    lock,
)
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.journal.database import NAME
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.journal.export import export
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.journal.journal import Journal
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.journal.states import JournalError
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.once import OnceAction

ARGUMENTS = {
    "step": {"type": "str", "required": True, "choices": ["check", "plan", "roll_out", "judge"]},
    "directory": {"type": "path", "required": True},
    "request": {"type": "dict", "default": {}},
    "rollout": {"type": "dict", "default": {}},
    "drill": {"type": "dict", "default": {}},
    "where": {"type": "dict", "default": {}},
    "run": {"type": "dict", "default": {}},
    "before": {"type": "dict", "default": {}},
    "after": {"type": "dict", "default": {}},
    "planted": {"type": "dict", "default": {}},
    "removed": {"type": "dict", "default": {}},
}
SPARE_S = 900  # that a rollout has beside the time for which the fault is planted
TRIES = 2  # to take back what a rollout let through
Given = dict[str, Any]
display = Display()


class ActionModule(OnceAction):
    ARGUMENTS = ARGUMENTS
    REFUSALS = (DrillRefused, JournalError, artifacts.ArtifactError, damage.DamageError)

    def act(self, args: Given, task_vars: Given) -> Given:
        steps = {
            "check": self._check,
            "plan": self._plan,
            "roll_out": self._roll_out,
            "judge": self._judge,
        }
        return steps[args["step"]](args)

    def _check(self, args: Given) -> Given:
        """Everything that can be refused before a host is looked at."""
        request = plan.read(args["request"])
        key = args["where"].get("release_key")
        if request.fault.how == ARTIFACT and not (key or args["where"].get("allow_unsigned")):
            raise DrillRefused(
                f"{request.fault.name} rolls out an artifact made to be bad, which has to be signed: "
                "-e drill_release_key=FILE, the key that signs releases"
            )
        directory = Path(args["directory"])
        if (directory / NAME).exists():
            journal = Journal(directory)
            unfinished = [row["id"] for row in journal.unfinished()]
            journal.close()
            if unfinished:
                raise DrillRefused(f"rollout {unfinished[0]} has not ended; a drill comes after it")
        return {"release": request.release, "policy": request.fault.of_policy, "bake": request.bake}

    def _plan(self, args: Given) -> Given:
        request = plan.read(args["request"])
        looks = args["before"].items()
        runs = {h: str((look.get("releases") or {}).get("current")) for h, look in looks}
        name = f"{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}-{request.fault.name}"
        found = plan.plan(request, args["rollout"]["plan"], runs, name)
        return {"drill": found.document(), "table": found.lines()}

    def _roll_out(self, args: Given) -> Given:
        """canary.yml as it is; what it let through is taken back."""
        drill = planned(args)
        there = [host for host in drill.hosts if (args["planted"].get(host) or {}).get("planted")]
        unplanted = drill.how in ON_HOST and len(there) < len(drill.hosts)
        if self._task.check_mode or unplanted:
            return {"record": None, "problem": "nothing was rolled out"}
        directory = Path(args["directory"])
        folder = directory / "drills" / drill.id
        words = running.words_of(sys.argv[1:], context.CLIARGS["args"])
        controller = running.Controller(words, Path(args["where"]["playbooks"]), folder)
        own, limit_s = {"rollout_as": drill.id}, drill.expires_s + SPARE_S
        variables = {**preparing.words(drill, args["where"], folder), **own}
        display.display(f"rolling out; what canary.yml says is in {folder}/canary.log")
        code, said = controller.run("canary", variables, limit_s)
        record = recorded(directory, drill.id)
        if record is not None and record["state"] != "rolled_back":
            display.display("it was not taken back by itself; rollback.yml does that now")
            for _ in range(TRIES):
                if controller.run("rollback", own, limit_s)[0] == 0:
                    break
        return {"record": record, "problem": running.complaint(said), "code": code}

    def _judge(self, args: Given) -> Given:
        drill, run, directory = planned(args), args["run"], Path(args["directory"])
        found = verdict.judge(
            drill,
            verdict.Evidence(
                run.get("record"),
                run.get("problem", ""),
                args["before"],
                args["after"],
                args["planted"],
                args["removed"],
            ),
        )
        rollout = (run.get("record") or {}).get("id", "")
        if found.outcome is verdict.Outcome.CAUGHT:
            forgive(directory, rollout)
        result = results.document(drill, found, rollout, time.time())
        return {
            "result": result,
            "passed": found.passed,
            "wrong": list(found.wrong),
            "files": write(directory, result),
            "table": results.lines(result),
        }


def planned(args: Given) -> plan.Plan:
    return plan.Plan(**{**args["drill"], "hosts": tuple(args["drill"]["hosts"])})


def recorded(directory: Path, rollout: str) -> Given | None:
    """The record of a rollout; None where it never began."""
    if not (directory / NAME).exists():
        return None
    journal = Journal(directory)
    try:
        return export(journal, rollout) if journal.knows(rollout) else None
    finally:
        journal.close()


def forgive(directory: Path, rollout: str) -> None:
    """What was rolled out is not to blame for the fault that was planted."""
    journal = Journal(directory)
    try:
        journal.claim(lock.controller())
        denylist.forgive(journal, rollout)
    finally:
        journal.close()


def write(directory: Path, result: Given) -> list[str]:
    """This result beside its rollout's report, and the last one of every fault in drills/."""
    folder = directory / "drills"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    own = directory / result["rollout"] if result["rollout"] else folder / result["drill"]["id"]
    own.mkdir(parents=True, exist_ok=True)
    kept = folder / "drills.json"
    before = json.loads(kept.read_text())["results"] if kept.exists() else []
    all_of_them = results.latest([*before, result])
    pages: dict[Path, list[Any]] = {own / "drill.md": [result], folder / "drills.md": all_of_them}
    for path, found in pages.items():
        path.write_text(results.markdown(found))
    (own / "drill.json").write_text(json.dumps(result, indent=1, sort_keys=True) + "\n")
    known = {"apiVersion": "tcmicro/v1", "kind": "DrillResults", "results": all_of_them}
    kept.write_text(json.dumps(known, indent=1, sort_keys=True) + "\n")
    return [str(path) for path in pages]
