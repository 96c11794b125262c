#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: agent_info
short_description: Tell what the tcmicro agent of a host is and does
version_added: 0.1.0
author: The tcmicro developers (@tcmicro)
description:
  - Reads releases, service and the status that the agent itself reports. Changes nothing and does not fail on a host
    without an agent, or with a broken one; RV(problem) then says what is wrong.
options:
  samples_s:
    description:
      - Return also what the agent recorded in the last so many seconds, C(tc-micro samples). It keeps two hours.
      - V(0) returns none.
    type: int
    default: 0
  peers:
    description: With the samples, ask which peers do not answer this host now.
    type: bool
    default: false
  differences:
    description: Return also what a staged policy decides otherwise, C(tc-micro policy differences).
    type: bool
    default: false
extends_documentation_fragment: [tcmicro.fleet.attributes.info]
seealso:
  - module: tcmicro.fleet.agent_release
"""

EXAMPLES = r"""
- name: Look at the agent
  tcmicro.fleet.agent_info:
  register: agent
"""

RETURN = r"""
installed:
  description: Whether the agent's command is there.
  returned: always
  type: bool
releases:
  description: The current release, the one before, and all that are on disk.
  returned: always
  type: dict
  sample: {current: 0.1.1, previous: 0.1.0, installed: [0.1.0, 0.1.1]}
service:
  description: State of C(tcmicro-agent.service); C(restarts) counts those that systemd did by itself.
  returned: always
  type: dict
  sample: {installed: true, active: true, failed: false, enabled: true, state: active (running), result: success, restarts: 0, pid: 321,
    active_since_us: 12345678}
transaction:
  description: The last change of release, V(null) when there was none; C(deadline_in_s) while it waits to be confirmed.
  returned: always
  type: dict
  sample: {version: 0.1.1, previous: 0.1.0, state: pending, deadline_in_s: 212.5}
status:
  description: The C(Status) document of the agent, V(null) when there is none.
  returned: always
  type: dict
facts:
  description: Kernel release, architecture and distribution, by which a rollout tells classes of hosts apart.
  returned: always
  type: dict
  sample: {kernel: 6.1.0-18-amd64, arch: x86_64, distribution: debian, version: "12"}
samples:
  description: The C(Samples) document, V(null) where the release records none.
  returned: when O(samples_s) is given
  type: dict
differences:
  description: What a staged policy decides otherwise; empty when nothing is staged.
  returned: when O(differences) is true
  type: list
  elements: dict
problem:
  description: Why there is no status, empty when there is one.
  returned: always
  type: str
"""

import time

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.tcmicro.fleet.plugins.module_utils.agent import (
    Agent,
    Document,
    Run,
    Service,
)
from ansible_collections.tcmicro.fleet.plugins.module_utils.facts import facts
from ansible_collections.tcmicro.fleet.plugins.module_utils.guard import Guard
from ansible_collections.tcmicro.fleet.plugins.module_utils.releases import Layout

ARGUMENTS = {
    "samples_s": {"type": "int", "default": 0},
    "peers": {"type": "bool", "default": False},
    "differences": {"type": "bool", "default": False},
}
UNKNOWN_VERB = 2
MAX_DIFFERENCES = 1000


def told(agent: Agent, seconds: int, *, peers: bool) -> Document:
    """What the agent says of itself, why it does not, and its samples where `seconds` are given.

    Both in one call: each is a process. A release that cannot, or that fails at one of them, is asked for each.
    """
    if not agent.installed():
        return {"status": None, "problem": "the agent is not installed"}
    more = ["--peers"] if peers else []
    if seconds:
        both = agent.call("status", "--samples", str(seconds), *more)
        if both.ok and both.document is not None:
            recorded = both.document.pop("samples")
            return {"status": both.document, "samples": recorded, "problem": ""}
    reply = agent.call("status")
    said = {"status": reply.document, "problem": ""}
    found = said if reply.ok else {"status": None, "problem": reply.complaint()}
    return {**found, "samples": samples(agent, seconds, more)} if seconds else found


def transaction(found: Document | None) -> Document | None:
    """A change of release, with the seconds that are left of its trial."""
    if found is None or found.get("state") != "pending":
        return found
    now_ms = time.clock_gettime(time.CLOCK_BOOTTIME) * 1000
    return {**found, "deadline_in_s": max(0.0, (found["deadline_ms"] - now_ms) / 1000)}


def look(run: Run, layout: Layout, params: Document) -> Document:
    agent = Agent(run)
    found = told(agent, params["samples_s"], peers=params["peers"])
    if params["differences"]:
        found["differences"] = differences(agent, found["status"])
    return {
        **found,
        "installed": agent.installed(),
        "releases": {
            "current": layout.linked(layout.current),
            "previous": layout.linked(layout.previous),
            "installed": layout.installed(),
        },
        "service": Service(run).show(),
        "transaction": transaction(Guard(layout, run).transaction()),
        "facts": facts(),
    }


def samples(agent: Agent, seconds: int, more: list[str]) -> Document | None:
    """What the agent recorded. A release that knows no such verb records nothing; one that fails to answer is silent."""
    reply = agent.call("samples", "--since", str(seconds), *more)
    if reply.code == UNKNOWN_VERB:
        return None
    return reply.document if reply.ok and reply.document is not None else {}


def differences(agent: Agent, status: Document | None) -> list[Document]:
    """None where nothing is staged, and nobody is asked."""
    if not ((status or {}).get("policy") or {}).get("staged"):
        return []
    reply = agent.call("policy", "differences", "--limit", str(MAX_DIFFERENCES))
    return list(reply.document["differences"]) if reply.ok and reply.document else []


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    module.exit_json(**look(module.run_command, Layout(), module.params))


if __name__ == "__main__":
    main()
