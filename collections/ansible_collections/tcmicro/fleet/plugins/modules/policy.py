#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: policy
short_description: Make a bundle the policy of a host, confirmed over a new connection
version_added: 0.1.0
author: The tcmicro developers (@tcmicro)
description:
  - Hands the bundle to the installed agent, which makes it live with a deadline that the kernel itself keeps. Then closes the
    connection, opens a new one and confirms over it. A policy that cuts the controller off is thereby never confirmed, and
    the kernel goes back to the policy before.
  - A host whose live policy has the digest of the bundle is left alone.
  - With C(--diff) the result says what changes in meaning for the host, which connections to and from it open or close. It is
    worked out on the controller from the bundle that is live on the host and the new one. With C(--check) nothing is changed.
options:
  bundle:
    description: The bundle on the controller, as M(tcmicro.fleet.bundles) writes it.
    type: path
    required: true
  confirm_within:
    description: Seconds until the kernel takes an unconfirmed policy back; at least 10.
    type: int
    default: 60
  signing_key:
    description:
      - An Ed25519 key on the controller, as PEM without passphrase; the file may be in a vault. The bundle is signed with it for
        the host, which takes it only if the public key is in its C(/etc/tcmicro/keys/policy).
      - Without it the bundle goes unsigned, and hosts refuse it unless they are configured to allow that.
    type: path
  valid_s:
    description: Seconds until the signature expires. What is live then stays.
    type: int
    default: 86400
  operation:
    description: What to do on the host. Filled in by the action plugin.
    type: str
    choices: [apply, confirm, status]
    default: apply
  document:
    description: The bundle itself. Filled in by the action plugin.
    type: str
  signature:
    description: The signature file of the bundle. Filled in by the action plugin.
    type: str
    default: ""
  transaction:
    description: C(id) and C(token) of the change to confirm. Filled in by the action plugin.
    type: dict
extends_documentation_fragment: [tcmicro.fleet.attributes]
seealso:
  - module: tcmicro.fleet.bundles
"""

EXAMPLES = r"""
- name: Resolve the policies of the inventory, once for all hosts
  tcmicro.fleet.bundles:
    policies: "{{ inventory_dir }}/policies"
    directory: build/bundles
  register: bundles
  run_once: true

- name: Make the bundle live
  tcmicro.fleet.policy:
    bundle: "build/bundles/{{ bundles.bundles[inventory_hostname] }}.json"
    confirm_within: 30
    signing_key: /etc/tcmicro-controller/policy.key.pem
"""

RETURN = r"""
generation:
  description: Number of the live policy on this host.
  returned: success
  type: int
digest:
  description: Digest of the live policy.
  returned: success
  type: str
ops:
  description: What changed in the kernel, in check mode what would.
  returned: success
  type: list
  elements: str
unverified:
  description: What is wrong with the signature, where the host is configured to allow that; empty where nothing is.
  returned: success
  type: str
restored:
  description: Whether the kernel went back to the policy before.
  returned: when a change was not confirmed
  type: bool
"""

from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.tcmicro.fleet.plugins.module_utils.agent import PROGRAM, Agent, Reply

KEPT = Path("/var/lib/tcmicro/bundles")


class PolicyError(Exception):
    """The agent did not do what it was asked; carries what it said."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.complaint())
        self.code = reply.code


def apply(agent: Agent, params: dict[str, Any], directory: str, how: list[str]) -> dict[str, Any]:
    """Hand the bundle over. The agent leaves it pending until it is confirmed."""
    bundle = Path(directory) / "bundle.json"
    bundle.write_text(params["document"])
    if params["signature"]:
        bundle.with_name("bundle.json.sig").write_text(params["signature"])
    answer = checked(agent.call("policy", "apply", str(bundle), *how))
    return {
        "changed": answer["changed"],
        "generation": answer.get("generation"),
        "digest": answer["digest"],
        "ops": answer.get("ops") or [],
        "unverified": (answer.get("signature") or {}).get("problem", ""),
        "transaction": answer.get("transaction"),
    }


def live(agent: Agent, kept: Path = KEPT) -> str | None:
    """The bundle that rules now as text, "" when none does, None when the host does not keep it."""
    digest = status(agent)["policy"].get("digest")
    if not digest:
        return ""
    try:
        return (kept / f"{digest}.json").read_text()
    except OSError:
        return None


def confirm_within(params: dict[str, Any]) -> list[str]:
    return ["--confirm-within", str(params["confirm_within"])]


def confirm(agent: Agent, params: dict[str, Any]) -> dict[str, Any]:
    transaction = params["transaction"]
    call = ["policy", "confirm", str(transaction["id"]), "--token", str(transaction["token"])]
    answer = checked(agent.call(*call))
    return {"changed": True, "generation": answer["generation"], "digest": answer["digest"]}


def status(agent: Agent) -> dict[str, Any]:
    answer = checked(agent.call("status"))
    return {"policy": answer["policy"], "transaction": answer.get("transaction")}


def checked(reply: Reply) -> dict[str, Any]:
    if reply.ok and reply.document is not None:
        return reply.document
    raise PolicyError(reply)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "bundle": {"type": "path", "required": True},
            "confirm_within": {"type": "int", "default": 60},
            "operation": {
                "type": "str",
                "choices": ["apply", "confirm", "status"],
                "default": "apply",
            },
            "document": {"type": "str"},
            "signing_key": {"type": "path", "no_log": False},
            "valid_s": {"type": "int", "default": 86400},
            "signature": {"type": "str", "default": ""},
            "transaction": {"type": "dict"},
        },
        required_if=[
            ("operation", "confirm", ("transaction",)),
            ("operation", "apply", ("document",)),
        ],
        supports_check_mode=True,
    )
    agent, operation = Agent(module.run_command), module.params["operation"]
    if not agent.installed():
        module.fail_json(
            msg=f"{PROGRAM} is not there: run playbooks/deploy.yml for this host first"
        )
    try:
        if operation == "apply":
            before = {"live": live(agent)} if module._diff else {}
            how = ["--dry-run"] if module.check_mode else confirm_within(module.params)
            result = {**apply(agent, module.params, module.tmpdir, how), **before}
        else:
            result = confirm(agent, module.params) if operation == "confirm" else status(agent)
    except PolicyError as exc:
        module.fail_json(msg=str(exc), code=exc.code)
    if result.get("unverified"):
        module.warn(
            f"the bundle is taken though it is not signed as it should be: {result['unverified']}"
        )
    module.exit_json(**result)


if __name__ == "__main__":
    main()
