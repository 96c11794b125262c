#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: prerequisites
short_description: Say whether tcmicro may run on a host, before anything is installed there
version_added: 0.1.0
author: The tcmicro developers (@tcmicro)
description:
  - Runs the agent's own preflight, one self-contained Python file, with the Python of the host. Nothing is installed, written
    or loaded.
  - All findings come at once. Also says which address the controller comes from, which the failsafe is seeded with.
options:
  fail_on:
    description: Level of a finding that fails the task.
    type: str
    choices: [never, fail, warn]
    default: never
  memory_mb:
    description: Memory that must be available.
    type: int
    default: 256
  disk_mb:
    description: Room that must be free on C(/opt) and on C(/var).
    type: int
    default: 200
  metrics_port:
    description: Port that nobody but the agent may listen on.
    type: int
    default: 9931
  script:
    description: The text of the preflight. Filled in by the action plugin.
    type: str
extends_documentation_fragment: [tcmicro.fleet.attributes.info]
seealso:
  - module: tcmicro.fleet.agent_release
"""

EXAMPLES = r"""
- name: Refuse hosts that cannot run the agent
  tcmicro.fleet.prerequisites:
    fail_on: fail
  register: prerequisites

- name: Show what else is worth knowing
  ansible.builtin.debug:
    msg: "{{ prerequisites.findings | rejectattr('level', 'eq', 'ok') }}"
"""

RETURN = r"""
ok:
  description: Whether no finding has the level V(fail).
  returned: always
  type: bool
findings:
  description: Every check with what was found and what is needed.
  returned: always
  type: list
  elements: dict
  sample: [{check: kernel, level: ok, found: 6.1.0-18-amd64, needed: '>= 5.10', hint: ''}]
connection:
  description: Where this very connection comes from and the port it reached; empty when it is not ssh.
  returned: always
  type: dict
  sample: {client: 10.77.0.1, port: 22}
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.tcmicro.fleet.plugins.module_utils.ssh import connection

FAILING = {"never": (), "fail": ("fail",), "warn": ("fail", "warn")}


def preflight(module: AnsibleModule) -> list[dict[str, Any]]:
    """Findings of the script, run by the Python that runs this module."""
    script = Path(module.tmpdir) / "preflight.py"
    script.write_text(module.params["script"] or "")
    argv = [sys.executable, str(script), "--json"]
    for need in ("memory_mb", "disk_mb", "metrics_port"):
        argv += [f"--{need.replace('_', '-')}", str(module.params[need])]
    code, stdout, stderr = module.run_command(argv)
    try:
        return list(json.loads(stdout)["findings"])
    except (ValueError, KeyError, TypeError):
        module.fail_json(
            msg=f"preflight did not answer (exit code {code}): {stderr.strip() or stdout.strip()}"
        )
        raise


def sentence(finding: dict[str, Any]) -> str:
    hint = f": {finding['hint']}" if finding["hint"] else ""
    return f"{finding['check']} is {finding['found']}, needed {finding['needed']}{hint}"


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "fail_on": {"type": "str", "choices": list(FAILING), "default": "never"},
            "memory_mb": {"type": "int", "default": 256},
            "disk_mb": {"type": "int", "default": 200},
            "metrics_port": {"type": "int", "default": 9931},
            "script": {"type": "str"},
        },
        supports_check_mode=True,
    )
    findings = preflight(module)
    result = {
        "ok": all(finding["level"] != "fail" for finding in findings),
        "findings": findings,
        "connection": connection(os.environ, os.getppid()),
    }
    bad = [
        sentence(finding)
        for finding in findings
        if finding["level"] in FAILING[module.params["fail_on"]]
    ]
    if bad:
        module.fail_json(msg="this host cannot run tcmicro: " + "; ".join(bad), **result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
