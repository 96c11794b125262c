#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of an action plugin: it runs on the controller only."""

from __future__ import annotations

DOCUMENTATION = r"""
module: drill
short_description: Take a step of a drill
version_added: 0.1.0
author: The tcmicro developers (@tcmicro)
description:
  - Runs once on the controller. A drill plants a fault on a few hosts of a rollout on purpose and sees whether the rollout finds it,
    see docs/drills.md. C(playbooks/drill.yml) takes the steps in this order, with M(tcmicro.fleet.drill_fault) around V(roll_out).
  - No more hosts than asked for get the fault, and never more than a fifth of the fleet, or one.
options:
  step:
    description:
      - V(check) refuses what cannot be carried out, and a drill while a rollout has not ended.
      - V(plan) says on which hosts the fault is planted, and for how long.
      - V(roll_out) runs C(canary.yml) with the words of the command that is under way, and C(rollback.yml) after it unless every host was
        taken back. Does nothing in check mode, or where the fault could not be planted.
      - V(judge) says whether the fault was found, and writes the results beside the journal.
    type: str
    choices: [check, plan, roll_out, judge]
    required: true
  directory:
    description: Folder of the journal.
    type: path
    required: true
  request:
    description: What is asked for; C(fault), C(release), C(policy), C(hosts), C(wave), C(amount), C(expires_s), C(bake).
    type: dict
    default: {}
  rollout:
    description: What M(tcmicro.fleet.rollout_plan) returned.
    type: dict
    default: {}
  drill:
    description: The plan of the drill, as V(plan) returned it.
    type: dict
    default: {}
  where:
    description: Paths on the controller; C(playbooks), C(policies), C(artifacts_dir), C(release_key), and C(allow_unsigned).
    type: dict
    default: {}
  run:
    description: What V(roll_out) returned.
    type: dict
    default: {}
  before:
    description: Looks at every host before the fault was planted, by host.
    type: dict
    default: {}
  after:
    description: Looks at every host after it was removed, by host.
    type: dict
    default: {}
  planted:
    description: What M(tcmicro.fleet.drill_fault) returned when it planted, by host.
    type: dict
    default: {}
  removed:
    description: What M(tcmicro.fleet.drill_fault) returned when it removed, by host.
    type: dict
    default: {}
extends_documentation_fragment: [tcmicro.fleet.attributes.info]
seealso:
  - module: tcmicro.fleet.drill_fault
"""

EXAMPLES = r"""
- name: Judge a drill
  tcmicro.fleet.drill:
    step: judge
    directory: "{{ inventory_dir }}/.rollouts"
    drill: "{{ tcmicro_drill.drill }}"
    run: "{{ tcmicro_drill_run }}"
    before: "{{ ansible_play_hosts_all | tcmicro.fleet.per_host(hostvars, 'tcmicro_drill_before') }}"
    after: "{{ ansible_play_hosts_all | tcmicro.fleet.per_host(hostvars, 'tcmicro_drill_after') }}"
  run_once: true
"""

RETURN = r"""
drill:
  description: The plan of the drill.
  returned: when O(step=plan)
  type: dict
record:
  description: The C(RolloutRecord) of the rollout, V(null) where none began; RV(problem) says why.
  returned: when O(step=roll_out)
  type: dict
problem:
  description: The first line in which C(canary.yml) said that something was wrong.
  returned: when O(step=roll_out)
  type: str
result:
  description: The C(DrillResult).
  returned: when O(step=judge)
  type: dict
passed:
  description: Whether the fault was found where it was planted, and nothing of it is left.
  returned: when O(step=judge)
  type: bool
wrong:
  description: Everything that is not as it must be.
  returned: when O(step=judge)
  type: list
  elements: str
files:
  description: Pages that were written.
  returned: when O(step=judge)
  type: list
  elements: str
table:
  description: The plan or the result, for people.
  returned: when O(step=plan) or O(step=judge)
  type: list
  elements: str
"""
