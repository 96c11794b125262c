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
    required: false
  state:
    description:
      - V(present) makes the bundle live and confirms it; it needs O(bundle).
      - V(renewed), V(committed) and V(reverted) are about a policy that was confirmed under a O(lease) - move its end, keep the policy for
        good, take it back. They need the O(transaction) that V(present) returned, but for V(reverted), which takes back whatever waits, and
        changes nothing where nothing does.
    type: str
    choices: [present, renewed, committed, reverted]
    default: present
  confirm_within:
    description:
      - Seconds until the kernel takes an unconfirmed policy back; at least 11. The host rehearses the way back before, and refuses what
        leaves less than three times as long and 10 seconds.
    type: int
    default: 60
  evidence:
    description:
      - What a confirmation has to show. V(required) is a new ssh connection, and a flow of the controller that the policy itself judged,
        not the failsafe; so a policy under which ssh works and nothing else is taken back. V(ssh) is a new ssh connection alone, for
        hosts that the controller reaches by nothing else, as behind a jump host.
    type: str
    choices: [required, ssh]
    default: required
  probe_via:
    description:
      - Words before the command that makes the probes, where the controller reaches hosts otherwise than by its own routes, such as
        C([nsenter, --net=/run/netns/NAME]).
    type: list
    elements: str
    default: []
  lease:
    description:
      - Seconds for which a confirmed policy is kept, 0 for good. A lease that is neither renewed nor committed lapses, and the kernel
        goes back to the policy before.
    type: int
    default: 0
  epoch:
    description: Number of this controller; a host refuses every lower one it hears afterwards. Unset, nobody is refused.
    type: int
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
    choices: [apply, confirm, status, renew, commit, revert]
    default: apply
  document:
    description: The bundle itself. Filled in by the action plugin.
    type: str
  signature:
    description: The signature file of the bundle. Filled in by the action plugin.
    type: str
    default: ""
  shown:
    description: The evidence for a confirmation. Filled in by the action plugin.
    type: dict
  transaction:
    description: C(id) and C(token) of a policy under a lease, as V(present) returned them.
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

- name: Make the bundle live for a quarter of an hour
  tcmicro.fleet.policy:
    bundle: "build/bundles/{{ bundles.bundles[inventory_hostname] }}.json"
    lease: 900
  register: change

- name: Keep it for good
  tcmicro.fleet.policy:
    state: committed
    transaction: "{{ change.transaction }}"
  when: change.transaction
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
transaction:
  description: C(id) and C(token) of the policy while it is under a lease, else null.
  returned: success
  type: dict
probes:
  description: What was tried for the confirmation, and what came of it.
  returned: when a policy was confirmed
  type: list
  elements: dict
restored:
  description: Whether the kernel went back to the policy before.
  returned: when a change was not confirmed
  type: bool
"""

import json
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.tcmicro.fleet.plugins.module_utils.agent import PROGRAM, Agent, Reply

KEPT = Path("/var/lib/tcmicro/bundles")
REFUSED = 3  # exit code of the agent
OPEN = ("pending", "leased")  # states of a change that is not kept for good


class PolicyError(Exception):
    """The agent did not do what it was asked; carries what it said."""

    def __init__(self, text: str, code: int) -> None:
        super().__init__(text)
        self.code = code


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
        "connection": answer.get("connection"),
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


def until_confirmed(params: dict[str, Any]) -> list[str]:
    """How a bundle is made live that has to be confirmed."""
    how = ["--confirm-within", str(params["confirm_within"]), "--evidence", params["evidence"]]
    return [*how, *of_epoch(params)]


def of_epoch(params: dict[str, Any]) -> list[str]:
    return [] if params["epoch"] is None else ["--epoch", str(params["epoch"])]


def confirm(agent: Agent, params: dict[str, Any], directory: str) -> dict[str, Any]:
    evidence = Path(directory) / "evidence.json"
    evidence.write_text(json.dumps(params["shown"] or {"probes": []}))
    lease = ["--lease", str(params["lease"])] if params["lease"] else []
    answer = end(agent, "confirm", params, ["--evidence", str(evidence), *lease])
    return {**answer, "changed": True}


def end(agent: Agent, verb: str, params: dict[str, Any], more: list[str]) -> dict[str, Any]:
    """A verb about a change that is not kept for good yet."""
    transaction = params["transaction"]
    ticket = [str(transaction["id"]), "--token", str(transaction["token"])]
    answer = checked(agent.call("policy", verb, *ticket, *more, *of_epoch(params)))
    return {key: answer.get(key) for key in ("changed", "generation", "digest", "state")}


def later(agent: Agent, operation: str, params: dict[str, Any]) -> dict[str, Any]:
    """What becomes of a policy under a lease."""
    if operation == "revert":
        return revert(agent, params)
    lease = ["--lease", str(params["lease"])] if operation == "renew" else []
    done = end(agent, operation, params, lease)
    leased = done["state"] == "leased"
    return {**done, "transaction": params["transaction"] if leased else None}


def revert(agent: Agent, params: dict[str, Any]) -> dict[str, Any]:
    """The agent is asked in any case, because it notes the epoch; where nothing waits, all is as it should be."""
    waits = state_of(status(agent)) in OPEN
    reply = agent.call("policy", "revert", *of_epoch(params))
    if reply.code == REFUSED and not waits:
        return as_it_is(agent, changed=False)
    return {**checked(reply), "transaction": None}


def foreseen(agent: Agent, operation: str, params: dict[str, Any]) -> dict[str, Any]:
    """What `later` would answer, by what the host says; nothing is changed."""
    found = status(agent)
    state, asked = state_of(found), params["transaction"] or {}
    if operation == "revert":
        return as_it_is(agent, changed=state in OPEN)
    if (found["transaction"] or {}).get("id") != asked["id"] or state not in (
        "leased",
        "confirmed",
    ):
        known = f"{found['transaction']['id']}, which is {state}" if state else "none"
        raise PolicyError(
            f"transaction {asked['id']} would be refused; the last one of the host is {known}",
            REFUSED,
        )
    return {**as_it_is(agent, changed=state == "leased"), "state": state}


def state_of(found: dict[str, Any]) -> str:
    """Of the last change; "" where there was none."""
    return str((found["transaction"] or {}).get("state") or "")


def as_it_is(agent: Agent, *, changed: bool) -> dict[str, Any]:
    policy = status(agent)["policy"]
    live = {"generation": policy.get("generation"), "digest": policy.get("digest")}
    return {"changed": changed, **live, "transaction": None}


def status(agent: Agent) -> dict[str, Any]:
    answer = checked(agent.call("status"))
    return {"policy": answer["policy"], "transaction": answer.get("transaction")}


def checked(reply: Reply) -> dict[str, Any]:
    if reply.ok and reply.document is not None:
        return reply.document
    raise PolicyError(reply.complaint(), reply.code)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "bundle": {"type": "path"},
            "state": {
                "type": "str",
                "choices": ["present", "renewed", "committed", "reverted"],
                "default": "present",
            },
            "confirm_within": {"type": "int", "default": 60},
            "operation": {
                "type": "str",
                "choices": ["apply", "confirm", "status", "renew", "commit", "revert"],
                "default": "apply",
            },
            "evidence": {"type": "str", "choices": ["required", "ssh"], "default": "required"},
            "probe_via": {"type": "list", "elements": "str", "default": []},
            "lease": {"type": "int", "default": 0},
            "epoch": {"type": "int"},
            "shown": {"type": "dict"},
            "document": {"type": "str"},
            "signing_key": {"type": "path", "no_log": False},
            "valid_s": {"type": "int", "default": 86400},
            "signature": {"type": "str", "default": ""},
            "transaction": {"type": "dict"},
        },
        required_if=[
            ("operation", "confirm", ("transaction",)),
            ("state", "present", ("bundle",)),
            ("operation", "renew", ("transaction",)),
            ("operation", "commit", ("transaction",)),
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
            how = ["--dry-run"] if module.check_mode else until_confirmed(module.params)
            result = {**apply(agent, module.params, module.tmpdir, how), **before}
        elif operation == "confirm":
            result = confirm(agent, module.params, module.tmpdir)
        elif operation == "status":
            result = status(agent)
        elif module.check_mode:
            result = foreseen(agent, operation, module.params)
        else:
            result = later(agent, operation, module.params)
    except PolicyError as exc:
        module.fail_json(msg=str(exc), code=exc.code)
    if result.get("unverified"):
        module.warn(
            f"the bundle is taken though it is not signed as it should be: {result['unverified']}"
        )
    module.exit_json(**result)


if __name__ == "__main__":
    main()
