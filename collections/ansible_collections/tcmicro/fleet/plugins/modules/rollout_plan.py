#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of an action plugin: it runs on the controller only."""

from __future__ import annotations

DOCUMENTATION = r"""
module: rollout_plan
short_description: Plan the waves of a rollout, or refuse it
version_added: 0.1.0
author: The tcmicro developers (@tcmicro)
description:
  - Runs once on the controller. Checks the request, that the artifact is there, signed, and what its digest file says, and which
    hosts are well; then says who is changed in which wave, against which controls, and what that cannot detect.
  - An uncovered class of hosts comes first, then the failure domain of which the smallest share was used. No wave has two hosts of
    an HA group. The same request over the same fleet gives the same plan.
  - Reads the inventory variables C(tcmicro_site), C(tcmicro_rack), C(tcmicro_ha_group), C(tcmicro_ring), C(tcmicro_role),
    C(tcmicro_class) and C(tcmicro_change_windows) of the hosts, see docs/rollout.md.
  - Numbers may be text, as C(-e) and surveys give them.
options:
  release:
    description: The release to roll out.
    type: raw
    required: true
  artifacts_dir:
    description: Directory on the controller that holds the artifacts.
    type: path
    required: true
  hosts:
    description: Every host that should take part.
    type: list
    elements: str
    required: true
  waves:
    description:
      - Cumulative percentages of the hosts, or counts like V(1 host). The last is V(100).
      - The first wave has three hosts where the fleet has nine or more, else a third of it, at least one.
    type: raw
    default: [5, 10, 25, 50, 100]
  bake:
    description: Seconds between changing a wave and judging it.
    type: raw
    default: 60
  allow_missing:
    description: How many hosts may be left out because they are not well or not reachable.
    type: raw
    default: 0
  accept_blind:
    description:
      - Classes, as the plan names them, that may be without a canary until a quarter of the fleet has the change; V(all) for every class.
      - Below 20 hosts a class needs a canary before the last wave. A class of one host needs none.
    type: raw
  seed:
    description: A whole number that decides among equals. Without it there is one for each release.
    type: raw
  now:
    description:
      - V(true) goes on outside of the change windows. A time with its offset, like V(2026-12-01T08:00+01:00), is judged by instead of
        the clock.
    type: raw
  enforce:
    description: Whether to fail for what is else told in RV(refusals).
    type: bool
    default: true
  allow_unsigned:
    description: Go on with an artifact that has no signature file beside it.
    type: bool
    default: false
  policy:
    description: Whether policies are rolled out, and no release.
    type: bool
    default: false
  gates:
    description: The gate file that the rollout is to be judged by, read so that its faults are known before a host is changed.
      Without, the shipped one, which has none.
    type: path
  resume:
    description: A rollout is gone on with. What was planned stands, so that only the gate file is read.
    type: bool
    default: false
  seen:
    description: Looks of M(tcmicro.fleet.agent_info) by host. Without it only the request is checked.
    type: dict
extends_documentation_fragment: [tcmicro.fleet.attributes.controller]
seealso:
  - module: tcmicro.fleet.gate
"""

EXAMPLES = r"""
- name: Plan the waves
  tcmicro.fleet.rollout_plan:
    release: 0.1.1
    artifacts_dir: build
    hosts: "{{ ansible_play_hosts_all }}"
    seen: "{{ ansible_play_hosts_all | tcmicro.fleet.per_host(hostvars, 'agent') }}"
  run_once: true
  register: plan
"""

RETURN = r"""
plan:
  description:
    - The plan as a document of kind C(RolloutPlan).
  returned: with O(seen)
  type: dict
  contains:
    waves:
      description: The waves, with their hosts in order, their controls, and how many hosts have the change afterwards.
      returned: always
      type: list
      elements: dict
    holdback:
      description: Hosts of the last wave, which serve as controls until then.
      returned: always
      type: list
      elements: str
    blind:
      description: What the plan cannot detect, with numbers.
      returned: always
      type: list
      elements: str
  sample:
    apiVersion: tcmicro/v1
    kind: RolloutPlan
    seed: 300819384
    fleet: 3
    stages: ["5 %", "50 %", "100 %"]
    waves:
      - {number: 1, stage: "5 %", hosts: [web2], controls: [web1, db1], exposure: 1}
    holdback: []
    missing: {}
    coverage:
      - {class: 6.1/x86_64/debian-12/web, hosts: 2, first_wave: 1}
    blind: ["after wave 1, 1 clean host only bounds the share of failing hosts below 95 % (95 %)"]
refusals:
  description: Why the rollout must not start as planned; empty unless O(enforce=false).
  returned: with O(seen)
  type: list
  elements: str
ready:
  description: Hosts that take part, in the order they are changed in.
  returned: with O(seen)
  type: list
  elements: str
missing:
  description: Hosts that do not, and why.
  returned: with O(seen)
  type: dict
waves:
  description: Sizes of the waves; they take the ready hosts in their order.
  returned: with O(seen)
  type: list
  elements: int
  sample: [1, 2, 3]
wave_of:
  description: Number of the wave of each ready host, from 1.
  returned: with O(seen)
  type: dict
bake:
  description: The seconds as a number.
  returned: success
  type: int
table:
  description: The same for people, as lines.
  returned: with O(seen)
  type: list
  elements: str
"""
