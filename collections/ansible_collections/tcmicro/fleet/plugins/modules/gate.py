#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of an action plugin: it runs on the controller only."""

from __future__ import annotations

DOCUMENTATION = r"""
module: gate
short_description: Judge whether the hosts of a wave are well after a change of release
version_added: 0.1.0
author: The tcmicro developers (@tcmicro)
description:
  - Runs once per wave on the controller and compares two looks of M(tcmicro.fleet.agent_info) per host.
  - On every host the service must be active without a restart, report the release, guard the interfaces it guarded in both
    directions, and hold the policy it held, with nothing pending and nothing drifted.
  - Where the looks have samples, no value may exceed its limit, and none may have got worse than on the controls.
  - Missing data never passes. A host that does not answer fails, one that answers half is inconclusive.
  - All of it is described by a gate file; docs/judging.md explains it.
  - Does not fail by itself; the playbook decides by RV(verdict).
options:
  hosts:
    description: Every host of the wave, also those that failed.
    type: list
    elements: str
    required: true
  controls:
    description: Hosts that were not changed, to compare with. Their looks are in O(before) and O(after) too.
    type: list
    elements: str
    default: []
  release:
    description: The release that each must report. Empty where it must be the one it ran before.
    type: str
    default: ""
  digests:
    description: Bundles that hosts must hold, by host. A host without must hold the one it held before.
    type: dict
    default: {}
  seconds:
    description: How long the bake took, all of it where it was extended.
    type: int
    default: 0
  extension:
    description: How often the bake was extended. What was suspicious is decided then.
    type: int
    default: 0
  before:
    description: Looks before the change, by host.
    type: dict
    required: true
  after:
    description: Looks after the bake, by host.
    type: dict
    required: true
  failures:
    description: What already went wrong, by host.
    type: dict
    default: {}
  expected_diffs:
    description:
      - What a staged policy is meant to decide otherwise. Each may name V(change) (C(allow_to_deny), C(deny_to_allow)),
        V(direction), V(protocol), V(port) and V(peer), as in C(tc-micro policy differences).
    type: list
    elements: dict
    default: []
  began:
    description: What M(tcmicro.fleet.policy_stage) returned, by host, when the share of new flows was set that is judged.
    type: dict
    default: {}
  gates:
    description: The gate file. Without, the one that comes with the role C(tcmicro_gate).
    type: path
  previous:
    description: What this module returned for the same wave before. What failed then stays failed.
    type: dict
  only_invariants:
    description: Judge only what must always hold, as while a bake lasts.
    type: bool
    default: false
  prometheus_url:
    description:
      - Take the samples from this Prometheus server, which scrapes the agents, instead of from the looks.
      - When it does not answer, the verdict is V(error).
    type: str
    default: ""
extends_documentation_fragment: [tcmicro.fleet.attributes.controller]
seealso:
  - module: tcmicro.fleet.agent_info
"""

EXAMPLES = r"""
- name: Judge the wave
  tcmicro.fleet.gate:
    hosts: "{{ ansible_play_batch }}"
    release: 0.1.1
    before: "{{ ansible_play_batch | tcmicro.fleet.per_host(hostvars, 'before') }}"
    after: "{{ ansible_play_batch | tcmicro.fleet.per_host(hostvars, 'after') }}"
  run_once: true
  register: gate
"""

RETURN = r"""
verdict:
  description: V(fail) over V(error) over V(inconclusive) over V(pass).
  returned: success
  type: str
outcome:
  description: The same as RV(verdict).
  returned: success
  type: str
latched:
  description: Whether no later look at the wave can change it. Only V(fail) is.
  returned: success
  type: bool
findings:
  description: What was found, by level (L0 to L4), metric and host (V(null) for the wave), with its numbers.
  returned: success
  type: list
  elements: dict
  sample:
    - {level: L2, metric: denied packets, host: null, outcome: fail, enforce: true, text: 1.52 times more than on the controls,
       numbers: {p: 0.0001, effect: 1.52}}
not_judged:
  description: What this wave could not show whatever happened, and why.
  returned: success
  type: list
  elements: dict
series:
  description:
    - What the hosts of the wave and their controls recorded of each L2 metric, from some time before the change to the end of the bake,
      at most 60 points of a host and 40 hosts of each. Times are seconds since the bake began.
  returned: unless O(only_invariants)
  type: list
  elements: dict
  sample:
    - {metric: denied packets, unit: a second, changed_at: 0, canaries: {web1: [[-590, 1.2], [-580, 1.1]]}, controls: {}}
figures:
  description: Medians over the hosts of the wave before the change and in the bake, of what they recorded.
  returned: unless O(only_invariants)
  type: dict
  sample: {packets a second before: 1520.5, packets a second after: 1498.2}
passed:
  description: Whether the verdict is V(pass).
  returned: success
  type: bool
reasons:
  description: What was found, with host and numbers.
  returned: success
  type: list
  elements: str
  sample: ["web1: 2 restarts in 10 s, allowed 0"]
table:
  description: The same for people, as lines.
  returned: success
  type: list
  elements: str
"""
