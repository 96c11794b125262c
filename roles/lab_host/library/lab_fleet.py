#!/usr/bin/python
"""Ansible module: brings a lab up or down. All decisions are in module_utils/tcmicro_lab."""

from __future__ import annotations

DOCUMENTATION = r"""
module: lab_fleet
short_description: Brings a fleet of Debian hosts up or down on this machine
version_added: "0.1.0"
description:
  - Boots systemd-nspawn machines over one cached root tree, on a bridge in a network namespace of the lab's own.
  - Writes the inventory, an ssh configuration and a record of everything made, from which V(state=absent) removes it.
author: tcmicro developers (@tcmicro)
requirements:
  - root, mmdebstrap, systemd-container, iproute2, openssh-client
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
options:
  state:
    description:
      - V(built) makes sure the root tree is there, V(present) that the lab is up, V(absent) that nothing of it is left.
      - The root tree stays at V(absent).
      - V(off) ends the hosts as if their power was cut; V(present) switches them on again.
    type: str
    choices: [built, present, "off", absent]
    default: present
  directory:
    description: Directory of the lab. It names the lab; two directories are two labs.
    type: path
    required: true
  inventory:
    description: Inventory file to write. Needed unless O(state=absent).
    type: path
  hosts:
    description: How many hosts. Needed unless O(state=absent).
    type: int
  suites:
    description: Debian suites, dealt to the hosts in turn.
    type: list
    elements: str
    default: [bookworm]
  packages:
    description: Packages of the root tree.
    type: list
    elements: str
    default: []
  images:
    description:
      - Images of virtual machines, dealt to the hosts in turn; without any the hosts are containers.
      - Known are V(debian-12), V(debian-13), V(debian-12-linux-5.10), V(debian-12-no-btf), and V(debian-12-unfit),
        which lacks what the agent cannot be without.
    type: list
    elements: str
    default: []
  parallel:
    description: How many hosts boot at a time.
    type: int
    default: 8
  timeout:
    description: Seconds a host has from its start until sshd answers.
    type: int
    default: 90
"""

EXAMPLES = r"""
- name: Bring six hosts up
  lab_fleet:
    directory: "{{ playbook_dir }}/../.lab"
    inventory: "{{ playbook_dir }}/../inventories/lab/hosts.yml"
    hosts: 6
    packages: [systemd, systemd-sysv, openssh-server, netcat-openbsd, python3]

- name: Remove the lab
  lab_fleet:
    directory: "{{ playbook_dir }}/../.lab"
    state: absent
"""

RETURN = r"""
ops:
  description: What was done, or would be in check mode, in order.
  returned: success
  type: list
  elements: str
"""

from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.tcmicro_lab import fleet
from ansible.module_utils.tcmicro_lab.model import Act, LabError, Wanted

ARGUMENTS = {
    "state": {
        "type": "str",
        "choices": ["built", "present", "off", "absent"],
        "default": "present",
    },
    "directory": {"type": "path", "required": True},
    "inventory": {"type": "path"},
    "hosts": {"type": "int"},
    "suites": {"type": "list", "elements": "str", "default": ["bookworm"]},
    "packages": {"type": "list", "elements": "str", "default": []},
    "images": {"type": "list", "elements": "str", "default": []},
    "parallel": {"type": "int", "default": 8},
    "timeout": {"type": "int", "default": 90},
}
NEEDED = [("state", "built", ("inventory", "hosts")), ("state", "present", ("inventory", "hosts"))]


def change(params: dict[str, Any], *, check: bool) -> list[Act]:
    """Carries the wanted state out; the acts say what it took."""
    directory = Path(params["directory"]).resolve()
    if params["state"] == "absent":
        return fleet.absent(directory, check=check)
    if params["state"] == "off":
        return fleet.off(directory, check=check)
    wanted = Wanted(
        directory=directory,
        inventory=Path(params["inventory"]).resolve(),
        hosts=params["hosts"],
        suites=tuple(params["suites"]),
        packages=tuple(params["packages"]),
        images=tuple(params["images"]),
    )
    if params["state"] == "built":
        return fleet.build(wanted, check=check)
    return fleet.present(wanted, at_once=params["parallel"], limit=params["timeout"], check=check)


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, required_if=NEEDED, supports_check_mode=True)
    try:
        acts = change(module.params, check=module.check_mode)
    except (LabError, OSError) as fault:
        module.fail_json(msg=str(fault))
    sign = "-" if module.params["state"] in ("absent", "off") else "+"
    ops = [f"{sign} {act}" for act in acts]
    module.exit_json(changed=bool(ops), ops=ops, diff={"prepared": "\n".join(ops)})


if __name__ == "__main__":
    main()
