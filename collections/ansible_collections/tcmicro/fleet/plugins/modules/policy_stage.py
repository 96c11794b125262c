#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: policy_stage
short_description: Compare a bundle with the live policy of a host, in its kernel
version_added: 0.1.0
author: The tcmicro developers (@tcmicro)
description:
  - Hands the bundle to the installed agent, which stages it beside the live policy. Every new flow is then judged by both; the
    live one decides, and what the staged one would decide otherwise is counted. Nothing is dropped by it.
  - With O(share) it decides that percentage of the new flows itself, until the kernel ends that after O(share_for) seconds.
  - M(tcmicro.fleet.policy) with the same bundle makes it live as it is.
options:
  state:
    description: Whether the bundle is staged, or nothing is.
    type: str
    choices: [staged, absent]
    default: staged
  bundle:
    description: The bundle on the controller, as M(tcmicro.fleet.bundles) writes it. Required with O(state=staged).
    type: path
  share:
    description: Percentage of the new flows that the staged bundle judges. V(0) only compares.
    type: int
    default: 0
  share_for:
    description: Seconds after which the kernel ends the share, from 5 to 86400. The comparison goes on.
    type: int
    default: 60
  signing_key:
    description: An Ed25519 key on the controller, as PEM without passphrase; the file may be in a vault.
    type: path
  valid_s:
    description: Seconds until the signature expires.
    type: int
    default: 86400
  document:
    description: The bundle itself. Filled in by the action plugin.
    type: str
  signature:
    description: The signature file of the bundle. Filled in by the action plugin.
    type: str
    default: ""
extends_documentation_fragment: [tcmicro.fleet.attributes]
seealso:
  - module: tcmicro.fleet.policy
"""

EXAMPLES = r"""
- name: Compare the bundle with what is live
  tcmicro.fleet.policy_stage:
    bundle: "build/bundles/{{ bundles.bundles[inventory_hostname] }}.json"
    signing_key: /etc/tcmicro-controller/policy.key.pem

- name: Let it judge every twentieth new flow for five minutes
  tcmicro.fleet.policy_stage:
    bundle: "build/bundles/{{ bundles.bundles[inventory_hostname] }}.json"
    share: 5
    share_for: 300
    signing_key: /etc/tcmicro-controller/policy.key.pem

- name: Forget it
  tcmicro.fleet.policy_stage:
    state: absent
"""

RETURN = r"""
digest:
  description: Digest of the staged bundle.
  returned: success
  type: str
generation:
  description: Number of the staged policy on this host.
  returned: success
  type: int
share:
  description: Percentage of the new flows that it judges.
  returned: success
  type: int
judged:
  description: New flows that the live and the staged policy judged since the datapath was loaded, by what became of them.
  returned: with O(state=staged)
  type: dict
  sample: {live: {allowed: 120, refused: 3}, staged: {allowed: 6, refused: 0}}
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.tcmicro.fleet.plugins.module_utils.agent import PROGRAM, Agent, Reply

EMPTY: dict[str, Any] = {"changed": False, "digest": "", "generation": None, "share": 0}


def stage(agent: Agent, params: dict[str, Any], directory: str, how: list[str]) -> Reply:
    bundle = Path(directory) / "bundle.json"
    bundle.write_text(params["document"])
    if params["signature"]:
        bundle.with_name("bundle.json.sig").write_text(params["signature"])
    share = ["--share", str(params["share"]), "--share-for", str(params["share_for"])]
    return agent.call("policy", "stage", str(bundle), *share, *how)


def unstage(agent: Agent, *, check: bool) -> Reply:
    """In check mode what it would answer."""
    if not check:
        return agent.call("policy", "unstage")
    reply = agent.call("status")
    if not reply.ok or reply.document is None:
        return reply
    staged = reply.document["policy"].get("staged")
    return replace(reply, document={**EMPTY, **(staged or {}), "changed": bool(staged)})


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": ["staged", "absent"], "default": "staged"},
            "bundle": {"type": "path"},
            "signing_key": {"type": "path", "no_log": False},
            "valid_s": {"type": "int", "default": 86400},
            "share": {"type": "int", "default": 0},
            "share_for": {"type": "int", "default": 60},
            "document": {"type": "str"},
            "signature": {"type": "str", "default": ""},
        },
        required_if=[("state", "staged", ("bundle", "document"))],
        supports_check_mode=True,
    )
    agent, how = Agent(module.run_command), ["--dry-run"] if module.check_mode else []
    if not agent.installed():
        module.fail_json(
            msg=f"{PROGRAM} is not there: run playbooks/deploy.yml for this host first"
        )
    if module.params["state"] == "absent":
        reply = unstage(agent, check=module.check_mode)
    else:
        reply = stage(agent, module.params, module.tmpdir, how)
    if not reply.ok:
        module.fail_json(msg=reply.complaint(), code=reply.code)
    answer = reply.document or EMPTY
    known = {name: answer.get(name, nothing) for name, nothing in EMPTY.items()}
    module.exit_json(**known, judged=answer.get("judged"))


if __name__ == "__main__":
    main()
