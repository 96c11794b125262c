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
  - A release that takes the place of another one is confirmed over a new connection, with the health that the service
    reports as evidence. Unless that happens in time, the host goes back by itself, with nobody there, and also when its
    service keeps failing or the host is booted before.
  - Before it is unpacked, the host verifies its signature by the keys in C(/etc/tcmicro/keys/release). A release that is on
    the host already is not asked for it again, so going back works after the signature has expired.
  - The datapath stays in the kernel while the agent is replaced.
options:
  version:
    description:
      - The release.
      - Required with O(state=present) and O(state=confirmed). With O(state=previous) the release to go back to; default is the one that was
        current before.
    type: str
  state:
    description:
      - V(present) makes the release current and keeps the one before on disk.
      - V(confirmed) keeps a release that was made current with O(confirm=false). It fails when the host has taken it back.
      - V(previous) goes back. A host that was taken back already is left alone.
      - V(absent) removes service, datapath and every release, also where the agent is broken or half installed.
    type: str
    choices: [present, confirmed, previous, absent]
    default: present
  confirm:
    description: Whether to confirm a new release as soon as it reports. V(false) leaves that to O(state=confirmed).
    type: bool
    default: true
  confirm_within:
    description: Seconds within which a new release must be confirmed, from 10.
    type: int
    default: 300
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
  allow_unsigned:
    description: Take an artifact whose signature is missing or wrong. What is wrong is a warning then.
    type: bool
    default: false
  look:
    description:
      - What M(tcmicro.fleet.agent_info) said of the host. With it an artifact that is not there is sent at once; without it the
        host is asked first.
    type: dict
  digests:
    description: SHA-256 of the artifact by machine type. Filled in by the action plugin.
    type: dict
  src:
    description: Where the artifact was put on the host. Filled in by the action plugin.
    type: path
  signature:
    description: Where its signature was put on the host. Filled in by the action plugin.
    type: path
  verifier:
    description: Where the program that verifies it was put on the host. Filled in by the action plugin.
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

- name: Try it, and keep it later if it has been well
  tcmicro.fleet.agent_release:
    version: 0.1.1
    confirm: false
    confirm_within: 600

- name: Keep it
  tcmicro.fleet.agent_release:
    version: 0.1.1
    state: confirmed

- name: Go back to the release before
  tcmicro.fleet.agent_release:
    state: previous
"""

RETURN = r"""
transaction:
  description: The change of release that waits to be confirmed. V(null) when none does.
  returned: success
  type: dict
  sample: {id: 5f3a90c1, version: 0.1.1, previous: 0.1.0, state: pending}
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
from typing import Any, Callable

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.tcmicro.fleet.plugins.module_utils import verification
from ansible_collections.tcmicro.fleet.plugins.module_utils.agent import (
    Agent,
    Run,
    Service,
    ServiceError,
)
from ansible_collections.tcmicro.fleet.plugins.module_utils.guard import Guard
from ansible_collections.tcmicro.fleet.plugins.module_utils.installer import (
    RESTART,
    START,
    WITHIN_S,
    Clock,
    Installer,
    Step,
)
from ansible_collections.tcmicro.fleet.plugins.module_utils.releases import Layout, ReleaseError
from ansible_collections.tcmicro.fleet.plugins.module_utils.removal import Removal

SHORTEST_S = 10


def present(
    installer: Installer,
    params: dict[str, Any],
    verify: Callable[[], Path | None],
    *,
    check: bool,
) -> dict[str, Any]:
    version, src = params["version"], Path(params["src"]) if params["src"] else None
    unpack = installer.unpack_steps(version, wanted_digest(params), src, verify)
    if unpack and not src and not check:
        return {"needs_artifact": platform.machine()}
    if check:
        return report(installer.layout, [*unpack, *new_steps(installer, params)], version)
    for step in unpack:
        step.act()
    steps = new_steps(installer, params)
    if installer.layout.linked(installer.layout.current) != version:
        installer.preflight(version)
    return finish(installer, params, unpack, steps)


def new_steps(installer: Installer, params: dict[str, Any]) -> list[Step]:
    return installer.run_steps(params["version"], within=params["confirm_within"])


def confirmed(installer: Installer, params: dict[str, Any], *, check: bool) -> dict[str, Any]:
    layout, version = installer.layout, params["version"]
    cause, current = installer.guard.taken_back(version), layout.linked(layout.current)
    if cause or current != version:
        why = f"the host took release {version} back: {cause}" if cause else "nothing was changed"
        raise ReleaseError(f"{why}; release {current} is current")
    evidence = {} if check else installer.health(version, params["timeout"])
    steps = installer.confirm_steps(version, evidence)
    result = report(layout, steps, version)
    for step in [] if check else steps:
        step.act()
    return result


def bring(installer: Installer, module: AnsibleModule) -> dict[str, Any]:
    params, check = module.params, module.check_mode
    if params["state"] == "confirmed":
        return confirmed(installer, params, check=check)
    if params["state"] == "previous":
        return previous(installer, params, check=check)
    return present(installer, params, lambda: verified(installer.layout, module), check=check)


def verified(layout: Layout, module: AnsibleModule) -> Path | None:
    """The signature of the artifact; None, with a warning, for one that is taken though it is wrong or missing."""
    params, subject = module.params, f"{module.params['version']}/{platform.machine()}"
    problem = verification.problem(module.run_command, params, subject, layout.floor())
    if not problem:
        return Path(params["signature"])
    if not params["allow_unsigned"]:
        raise ReleaseError(f"release {subject} is refused, nothing was changed: {problem}")
    module.warn(f"release {subject} is taken though it is not signed as it should be: {problem}")
    return None


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
    version = params["version"]
    result = report(installer.layout, [*done, *steps], version)
    if steps:
        installer.carry_out(steps, version, params["timeout"])
        installer.layout.prune()
    installer.layout.raise_floor(version)
    return {**result, "transaction": installer.guard.pending(version)}


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
                "choices": ["present", "confirmed", "previous", "absent"],
                "default": "present",
            },
            "confirm": {"type": "bool", "default": True},
            "confirm_within": {"type": "int", "default": WITHIN_S},
            "artifacts_dir": {"type": "path", "default": "build"},
            "artifact": {"type": "path"},
            "timeout": {"type": "float", "default": 60},
            "allow_unsigned": {"type": "bool", "default": False},
            "look": {"type": "dict"},
            "digests": {"type": "dict"},
            "src": {"type": "path"},
            "signature": {"type": "path"},
            "verifier": {"type": "path"},
        },
        required_if=[("state", "present", ("version",)), ("state", "confirmed", ("version",))],
        supports_check_mode=True,
    )
    if module.params["confirm_within"] < SHORTEST_S:
        module.fail_json(
            msg=f"confirm_within: {module.params['confirm_within']} is not a number of seconds from {SHORTEST_S}: "
            "a new connection must fit into it"
        )
    os.umask(0o022)
    layout, service = Layout(), Service(module.run_command)
    clock = Clock(now=time.monotonic, sleep=time.sleep)
    guard = Guard(layout, module.run_command)
    installer = Installer(
        layout, service, lambda path: Agent(module.run_command, str(path)), guard, clock
    )
    try:
        if module.params["state"] == "absent":
            result = absent(module.run_command, layout, service, check=module.check_mode)
        else:
            result = bring(installer, module)
    except (ReleaseError, ServiceError, OSError) as exc:
        module.fail_json(msg=str(exc), release=layout.linked(layout.current))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
