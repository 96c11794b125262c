#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of an action plugin: it runs on the controller only."""

from __future__ import annotations

DOCUMENTATION = r"""
module: rollout_journal
short_description: Take a step of a rollout in its journal
version_added: 0.1.0
author: The tcmicro developers (@tcmicro)
description:
  - Runs once on the controller. Writes what is intended before it is done and what became of it after, and says what comes next;
    so a rollout whose controller was lost goes on where it was, and no host is changed twice.
  - V(open) takes the turn of the journal until this run of C(ansible-playbook) ends. A second one is refused.
  - V(open_back) does the same for hosts that are to be taken back, also where the journal is lost or cannot be used.
  - V(hold) waits in front of a wave for as long as people hold the rollout with C(tc-micro rollout pause), or until the wave
    is approved.
  - With C(--check) a copy of the journal is written that is thrown away.
options:
  step:
    description: The step.
    type: str
    required: true
    choices: [open, open_back, plan, retried, hold, change, staged, changed, judged, kept, ask_back, back, take_back, taken_back, finish]
  journal:
    description:
      - With V(open) C(directory) of the journal, C(rollout) to go on with, C(rollout_as) for an id of the caller's own that is
        begun or gone on with, C(stop_after) for the wave after which this run ends, C(abandon) for one that is not gone on
        with, and C(allow_denied), a digest that failed before.
      - With V(open_back) C(rollout_as) takes back what was begun under it, and nothing if nothing was.
      - Else what V(open) returned.
    type: dict
    required: true
  request:
    description: What was asked for.
    type: dict
    default: {}
  plan:
    description: What M(tcmicro.fleet.rollout_plan) returned.
    type: dict
    default: {}
  wanted:
    description: Digest of the bundle of each host, where policies are rolled out.
    type: dict
    default: {}
  hosts:
    description: Hosts of the wave or batch.
    type: list
    elements: str
    default: []
  looks:
    description: Looks of M(tcmicro.fleet.agent_info) by host.
    type: dict
    default: {}
  results:
    description: Result of the change, the confirmation or the way back, by host.
    type: dict
    default: {}
  verdict:
    description: What M(tcmicro.fleet.gate) returned.
    type: dict
    default: {}
  extension:
    description: How often the bake that is judged was extended.
    type: int
    default: 0
  round:
    description: With V(staged), what the staged policies did, as the step before said; C(share), C(seconds) and C(extension) of it.
    type: dict
    default: {}
  domains:
    description: Failure domain of each host, as V(back) returned it; without, C(tcmicro_site) and C(tcmicro_rack) of O(hosts).
    type: dict
  patience_s:
    description: With V(hold), how long the rollout is held before everything is taken back.
    type: int
    default: 3600
extends_documentation_fragment: [tcmicro.fleet.attributes.controller]
attributes:
  idempotent:
    support: none
    details: Each step is taken once; one that was taken already is refused, or answered as the journal has it.
seealso:
  - module: tcmicro.fleet.rollout_plan
  - module: tcmicro.fleet.gate
"""

EXAMPLES = r"""
- name: Take the turn
  tcmicro.fleet.rollout_journal:
    step: open
    journal:
      directory: "{{ inventory_dir }}/.rollouts"
    request:
      release: 0.1.1
  run_once: true
  register: rollout

- name: May this wave be changed?
  tcmicro.fleet.rollout_journal:
    step: change
    journal: "{{ rollout }}"
    hosts: "{{ ansible_play_batch }}"
  run_once: true
  register: step
"""

RETURN = r"""
id:
  description: The rollout.
  returned: with V(open), V(plan)
  type: str
  sample: 20261121-135200-3f9a
next:
  description: What follows. V(stop) ends the waves, or the way back.
  returned: with V(hold), V(change), V(staged), V(changed), V(judged), V(kept), V(take_back)
  type: str
  sample: keep
wave:
  description: Number of the wave that is next, of C(waves) in all; C(hosts) are its hosts.
  returned: with V(hold)
  type: int
assign:
  description: Hosts with the number of their batch, in order.
  returned: with V(plan), V(back)
  type: list
  elements: dict
hosts:
  description: Hosts of the batch that are taken back.
  returned: with V(take_back)
  type: list
  elements: str
summary:
  description: How the rollout ended.
  returned: with V(finish)
  type: str
"""
