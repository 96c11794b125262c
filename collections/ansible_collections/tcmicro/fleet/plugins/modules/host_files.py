#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: host_files
short_description: Put directories, files and links of a host in place, all in one step
version_added: 0.1.0
author: The tcmicro developers (@tcmicro)
description:
  - Makes what is missing, replaces what differs, and removes O(absent) and what else is in the directories of O(only). One start
    of Python on the host does what a task for each file would do in one start each.
  - Directories get the mode 0755, files 0644; they belong to the user the module runs as. Parents that are missing are made, those
    that are there stay as they are.
  - Nothing is changed where something is in the way, for example a directory where a file is wanted; all of that is named at once.
options:
  directories:
    description: Absolute paths.
    type: list
    elements: str
    default: []
  files:
    description: Texts by absolute path. A link in the place of a file is replaced.
    type: dict
    default: {}
  links:
    description: Targets by absolute path of the link. A target need not exist; a file in the place of a link is replaced.
    type: dict
    default: {}
  only:
    description: Which of O(directories) shall hold nothing but what is declared here, at any depth.
    type: list
    elements: str
    default: []
  absent:
    description: Absolute paths that go, with everything below them. A link goes, what it leads to stays.
    type: list
    elements: str
    default: []
extends_documentation_fragment: [tcmicro.fleet.attributes]
"""

EXAMPLES = r"""
- name: Trust exactly one key
  tcmicro.fleet.host_files:
    directories: [/etc/tcmicro/keys, /etc/tcmicro/keys/release, /etc/tcmicro/keys/policy]
    files:
      /etc/tcmicro/keys/release/ci.pem: "{{ lookup('ansible.builtin.file', 'ci.pem') }}"
    only: [/etc/tcmicro/keys]
"""

RETURN = r"""
made:
  description: Paths that were made or changed, or would be; without parents that no option names.
  returned: success
  type: list
  elements: str
removed:
  description: Paths that were removed, or would be.
  returned: success
  type: list
  elements: str
"""

import os

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.tcmicro.fleet.plugins.module_utils import tree

ARGUMENTS = {
    "directories": {"type": "list", "elements": "str", "default": []},
    "files": {"type": "dict", "default": {}},
    "links": {"type": "dict", "default": {}},
    "only": {"type": "list", "elements": "str", "default": []},
    "absent": {"type": "list", "elements": "str", "default": []},
}


def refuse(module: AnsibleModule, problems: list[str]) -> None:
    if problems:
        module.fail_json(msg="; ".join(problems))


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    wanted = tree.Wanted(**module.params)
    refuse(module, tree.faults(wanted))
    shall = tree.entries(wanted, (os.geteuid(), os.getegid()))
    found = tree.look(wanted, shall)
    refuse(module, tree.obstacles(shall, found))
    changes = tree.plan(wanted, shall, found)
    if not module.check_mode:
        tree.carry_out(
            changes, lambda path: module.set_default_selinux_context(path, changed=False)
        )
    told = tree.worth_telling(changes)
    module.exit_json(
        changed=bool(changes),
        made=[change.path for change in told if change.after],
        removed=[change.path for change in told if not change.after],
        diff=tree.differences(told),
    )


if __name__ == "__main__":
    main()
