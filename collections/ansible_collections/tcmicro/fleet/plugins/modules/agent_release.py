#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: agent_release
short_description: Bring a host to a release of the tcmicro agent, back to the one before, or remove it
version_added: 0.1.0
author: The tcmicro developers (@tcmicro)
description:
  - Installs the artifact of a release below C(/opt/tcmicro/releases), switches to it by one rename and waits until the
    service reports it. A release that does not fit the host or does not start leaves the host on the release it had.
  - The artifact is verified on the controller, again on the host, and file by file against its manifest. It is sent only to
    hosts that do not have it.
  - The datapath stays in the kernel while the agent is replaced.
options:
  version:
    description:
      - The release.
      - Required with O(state=present). With O(state=previous) the release to go back to; default is the one that was
        current before.
    type: str
  state:
    description:
      - V(present) makes the release current and keeps the one before on disk.
      - V(previous) goes back. A host that was taken back already is left alone.
      - V(absent) removes service, datapath and every release, also where the agent is broken or half installed.
    type: str
    choices: [present, previous, absent]
    default: present
  artifacts_dir:
    description: Directory on the controller that holds C(tcmicro-<version>-<arch>.tar.gz) and C(….sha256).
    type: path
    default: build
  artifact:
    description: One artifact on the controller, instead of looking for it in O(artifacts_dir).
    type: path
  timeout:
    description: Seconds within which the service must report the release.
    type: float
    default: 60
  digests:
    description: SHA-256 of the artifact by machine type. Filled in by the action plugin.
    type: dict
  src:
    description: Where the artifact was put on the host. Filled in by the action plugin.
    type: path
extends_documentation_fragment: [tcmicro.fleet.attributes]
seealso:
  - module: tcmicro.fleet.agent_info
  - module: tcmicro.fleet.prerequisites
"""

EXAMPLES = r"""
- name: Run release 0.1.1
  tcmicro.fleet.agent_release:
    version: 0.1.1
    artifacts_dir: "{{ playbook_dir }}/../build"

- name: Go back to the release before
  tcmicro.fleet.agent_release:
    state: previous
"""

RETURN = r"""
release:
  description: The current release before and after. V(null) means none.
  returned: success
  type: dict
  sample: {before: 0.1.0, after: 0.1.1}
restarted:
  description: Whether the service was started or restarted.
  returned: success
  type: bool
steps:
  description: What was done, in check mode what would be.
  returned: success
  type: list
  elements: str
  sample: [unpack release 0.1.1, switch from 0.1.0 to 0.1.1, restart the service]
"""

import os
import platform
import time
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.tcmicro.fleet.plugins.module_utils.agent import (
    Agent,
    Run,
    Service,
    ServiceError,
)
from ansible_collections.tcmicro.fleet.plugins.module_utils.installer import (
    RESTART,
    START,
    Clock,
    Installer,
    Step,
)
from ansible_collections.tcmicro.fleet.plugins.module_utils.releases import Layout, ReleaseError
from ansible_collections.tcmicro.fleet.plugins.module_utils.removal import Removal


def present(installer: Installer, params: dict[str, Any], *, check: bool) -> dict[str, Any]:
    version, src = params["version"], params["src"]
    unpack = installer.unpack_steps(version, wanted_digest(params), Path(src) if src else None)
    if unpack and not src and not check:
        return {"needs_artifact": platform.machine()}
    if check:
        return report(installer.layout, [*unpack, *installer.run_steps(version)], version)
    for step in unpack:
        step.act()
    steps = installer.run_steps(version)
    if installer.layout.linked(installer.layout.current) != version:
        installer.preflight(version)
    return finish(installer, params, unpack, steps)


def previous(installer: Installer, params: dict[str, Any], *, check: bool) -> dict[str, Any]:
    layout = installer.layout
    version = params["version"] or layout.linked(layout.previous)
    if version is None:
        raise ReleaseError(
            f"no earlier release is recorded here; installed: {', '.join(layout.installed()) or 'none'}. "
            "Name one with version"
        )
    if layout.digest(version) is None:
        raise ReleaseError(
            f"release {version} is not on this host: {', '.join(layout.installed()) or 'none'} is"
        )
    steps = installer.run_steps(version, back=True)
    if check:
        return report(layout, steps, version)
    return finish(installer, {**params, "version": version}, [], steps)


def finish(
    installer: Installer, params: dict[str, Any], done: list[Step], steps: list[Step]
) -> dict[str, Any]:
    """Carry out the steps, prune, and say what was done."""
    result = report(installer.layout, [*done, *steps], params["version"])
    if steps:
        installer.carry_out(steps, params["version"], params["timeout"])
        installer.layout.prune()
    return result


def absent(run: Run, layout: Layout, service: Service, *, check: bool) -> dict[str, Any]:
    steps = Removal(layout, service, Agent(run), run).steps()
    result = report(layout, steps, None)
    for step in [] if check else steps:
        step.act()
    return result


def report(layout: Layout, steps: list[Step], after: str | None) -> dict[str, Any]:
    texts = [step.text for step in steps]
    before = layout.linked(layout.current)
    return {
        "changed": bool(texts),
        "steps": texts,
        "restarted": bool({START, RESTART} & set(texts)),
        "release": {"before": before, "after": after},
        "diff": {
            "before": f"release: {before or 'none'}\n",
            "after": f"release: {after or 'none'}\n",
        },
    }


def wanted_digest(params: dict[str, Any]) -> str:
    digests, machine = params["digests"] or {}, platform.machine()
    found = digests.get(machine) or digests.get("any")
    if not found:
        raise ReleaseError(
            f"release {params['version']} is not built for {machine}; there is: {', '.join(sorted(digests)) or 'none'}"
        )
    return str(found)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "version": {"type": "str"},
            "state": {
                "type": "str",
                "choices": ["present", "previous", "absent"],
                "default": "present",
            },
            "artifacts_dir": {"type": "path", "default": "build"},
            "artifact": {"type": "path"},
            "timeout": {"type": "float", "default": 60},
            "digests": {"type": "dict"},
            "src": {"type": "path"},
        },
        required_if=[("state", "present", ("version",))],
        supports_check_mode=True,
    )
    os.umask(0o022)
    layout, service = Layout(), Service(module.run_command)
    clock = Clock(now=time.monotonic, sleep=time.sleep)
    installer = Installer(layout, service, lambda path: Agent(module.run_command, str(path)), clock)
    try:
        if module.params["state"] == "absent":
            result = absent(module.run_command, layout, service, check=module.check_mode)
        else:
            act = present if module.params["state"] == "present" else previous
            result = act(installer, module.params, check=module.check_mode)
    except (ReleaseError, ServiceError, OSError) as exc:
        module.fail_json(msg=str(exc), release=layout.linked(layout.current))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
