#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: pull_info
short_description: Tell what became of the last pull of a host
version_added: 0.1.0
author: The tcmicro developers (@tcmicro)
description:
  - Asks the installed agent, C(tc-micro policy pulled). Changes nothing and does not fail on a host without an agent, or one that does
    not pull; RV(problem) then says so.
options: {}
extends_documentation_fragment: [tcmicro.fleet.attributes.info]
seealso:
  - module: tcmicro.fleet.pull_report
"""

EXAMPLES = r"""
- name: Look what came of the last pull
  tcmicro.fleet.pull_info:
  register: pulled
"""

RETURN = r"""
pulled:
  description: The C(PolicyPulled) document of the agent, V(null) when there is none. Times are in seconds since 1970.
  returned: always
  type: dict
  sample: {at: 1795259600, result: changed, why: "", well_at: 1795259600, serial: 1795259541, digest: 2f0a9f0c2c9d, tries: 1,
    went_back: "", live: 2f0a9f0c2c9d}
problem:
  description: Why there is none, empty when there is one.
  returned: always
  type: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.tcmicro.fleet.plugins.module_utils.agent import Agent, Document

ARGUMENTS: Document = {}


def look(agent: Agent) -> Document:
    if not agent.installed():
        return {"pulled": None, "problem": "the agent is not installed"}
    reply = agent.call("policy", "pulled")
    if reply.ok:
        return {"pulled": reply.document, "problem": ""}
    return {"pulled": None, "problem": reply.complaint()}


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    module.exit_json(**look(Agent(module.run_command)))


if __name__ == "__main__":
    main()
