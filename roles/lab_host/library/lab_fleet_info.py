#!/usr/bin/python
"""Ansible module: looks at a lab. All looking is done in module_utils/tcmicro_lab."""

from __future__ import annotations

DOCUMENTATION = r"""
module: lab_fleet_info
short_description: Tells the state of a lab and of each of its hosts
version_added: "0.1.0"
description:
  - Reads the record of the lab and looks at its hosts. Does not modify state.
author: tcmicro developers (@tcmicro)
attributes:
  check_mode:
    support: full
options:
  directory:
    description: Directory of the lab.
    type: path
    required: true
"""

EXAMPLES = r"""
- name: Look at the lab
  lab_fleet_info:
    directory: "{{ playbook_dir }}/../.lab"
  register: lab
"""

RETURN = r"""
lab:
  description:
    - The lab. Its C(state) is V(none), V(partial) or V(up); a host's C(state) is V(running) when ssh answers,
      V(silent) when it only has processes, V(stopped) when it has none. C(uptime) is in seconds.
  returned: success
  type: dict
table:
  description: The same for people, a line per element.
  returned: success
  type: list
  elements: str
"""

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.tcmicro_lab import documents, fleet
from ansible.module_utils.tcmicro_lab.model import LabError


def main() -> None:
    module = AnsibleModule(
        argument_spec={"directory": {"type": "path", "required": True}}, supports_check_mode=True
    )
    try:
        lab = fleet.status(Path(module.params["directory"]).resolve())
    except (LabError, OSError) as fault:
        module.fail_json(msg=str(fault))
    module.exit_json(changed=False, lab=lab, table=documents.table(lab))


if __name__ == "__main__":
    main()
