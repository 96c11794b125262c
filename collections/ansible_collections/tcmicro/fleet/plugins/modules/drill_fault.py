#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: drill_fault
short_description: Plant the fault of a drill on a host, or remove it
version_added: 0.1.0
author: The tcmicro developers (@tcmicro)
description:
  - Puts the programs of the role C(tcmicro_drill) below C(/run/tcmicro-drill) and runs them. Nothing of a drill outlasts a reboot,
    and a timer on the host removes all of it when its time is over.
  - A fault of the agent's process begins when the release under test is started, and ends with it.
options:
  state:
    description: V(present) plants, V(absent) removes whatever drill left there.
    type: str
    choices: [present, absent]
    default: present
  programs:
    description: Texts of the programs by file name, C(drill.py) and C(faults.py).
    type: dict
    required: true
  drill:
    description: Id of the drill. Another one that is under way on the host is not touched, and the module fails.
    type: str
    default: ""
  fault:
    description: Name of the fault.
    type: str
    default: ""
  how:
    description: Where it is planted. V(process) is the agent of O(version), V(disk) the file system of its state.
    type: str
    choices: [process, disk]
    default: process
  version:
    description: The release under test.
    type: str
    default: ""
  amount:
    description: How much of it, in the unit of the fault.
    type: int
    default: 0
  expires_s:
    description: Seconds after which the host removes it by itself.
    type: int
    default: 900
extends_documentation_fragment: [tcmicro.fleet.attributes]
seealso:
  - module: tcmicro.fleet.drill
"""

EXAMPLES = r"""
- name: Let the agent of a release die after each start, for ten minutes
  tcmicro.fleet.drill_fault:
    programs: "{{ tcmicro_drill_programs }}"
    drill: 20261121-175200-crash_loop
    fault: crash_loop
    version: 0.1.1
    amount: 4
    expires_s: 600

- name: Remove it
  tcmicro.fleet.drill_fault:
    state: absent
    programs: "{{ tcmicro_drill_programs }}"
"""

RETURN = r"""
planted:
  description: What is planted, V(null) for nothing; C(until_ms) is since the boot of the host.
  returned: success
  type: dict
began:
  description: Whether the fault began in the agent's process, and the C(problem) that kept it from that. V(null) where the release
    never ran, or the fault is none of the process.
  returned: success
  type: dict
  sample: {drill: 20261121-175200-crash_loop, problem: ""}
left:
  description: What of a drill is on the host now.
  returned: success
  type: list
  elements: str
"""

import json
import shutil
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.tcmicro.fleet.plugins.module_utils.atomic import replace_file

HOME = Path("/run/tcmicro-drill")
PLAN = ("drill", "fault", "how", "version", "amount", "expires_s")
ARGUMENTS = {
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "programs": {"type": "dict", "required": True},
    "drill": {"type": "str", "default": ""},
    "fault": {"type": "str", "default": ""},
    "how": {"type": "str", "choices": ["process", "disk"], "default": "process"},
    "version": {"type": "str", "default": ""},
    "amount": {"type": "int", "default": 0},
    "expires_s": {"type": "int", "default": 900},
}


def call(module: AnsibleModule, *words: str) -> dict[str, Any]:
    """What a verb of drill.py answers."""
    argv = ["/usr/bin/python3", "-I", str(HOME / "drill.py"), *words]
    code, stdout, stderr = module.run_command(argv)
    try:
        found: dict[str, Any] = json.loads(stdout)
    except ValueError:
        found = {"error": stderr.strip() or stdout.strip()}
    if code:
        module.fail_json(msg=f"drill.py {words[0]}: {found.get('error')}")
    return found


def write(programs: dict[str, str]) -> None:
    HOME.mkdir(mode=0o700, parents=True, exist_ok=True)
    for name, text in programs.items():
        replace_file(HOME / name, text.encode(), 0o600)


def foreseen(module: AnsibleModule, wanted: dict[str, Any]) -> dict[str, Any]:
    """What --check says: by what is there, without writing anything."""
    there = HOME.exists()
    planted = {}
    if (HOME / "fault.json").is_file():
        planted = json.loads((HOME / "fault.json").read_text())
    same = planted.get("drill") == wanted["drill"]
    changed = not same if module.params["state"] == "present" else there
    return {"changed": changed, "planted": planted or None, "began": None, "left": []}


def carry_out(module: AnsibleModule, wanted: dict[str, Any]) -> dict[str, Any]:
    absent = module.params["state"] == "absent"
    if absent and not HOME.exists():
        return {"changed": False, "planted": None, "began": None, "left": []}
    write(module.params["programs"])
    if not absent:
        return call(module, "plant", json.dumps(wanted))
    found = call(module, "remove")
    if not found["left"]:
        shutil.rmtree(HOME)
    return {**found, "changed": True}


def difference(found: dict[str, Any], wanted: dict[str, Any], state: str) -> dict[str, Any]:
    planted = {key: wanted[key] for key in PLAN} if state == "present" else None
    before = None if found["changed"] and state == "present" else found["planted"]
    shown = [json.dumps(item, indent=1) + "\n" for item in (before, planted)]
    return {
        "before_header": "drill",
        "after_header": "drill",
        "before": shown[0],
        "after": shown[1],
    }


def main() -> None:
    module = AnsibleModule(
        argument_spec=ARGUMENTS,
        supports_check_mode=True,
        required_if=[("state", "present", ["drill", "fault"])],
    )
    wanted = {key: module.params[key] for key in PLAN}
    done = foreseen(module, wanted) if module.check_mode else carry_out(module, wanted)
    diff = difference(done, wanted, module.params["state"])
    module.exit_json(**done, diff=diff)


if __name__ == "__main__":
    main()
