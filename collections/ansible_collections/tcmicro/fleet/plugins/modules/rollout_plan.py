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
    hosts are well; then says who is changed in which wave.
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
  allow_unsigned:
    description: Go on with an artifact that has no signature file beside it.
    type: bool
    default: false
  seen:
    description: Looks of M(tcmicro.fleet.agent_info) by host. Without it only the request is checked.
    type: dict
extends_documentation_fragment: [tcmicro.fleet.attributes.info]
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
ready:
  description: Hosts that take part.
  returned: with O(seen)
  type: list
  elements: str
missing:
  description: Hosts that do not, and why.
  returned: with O(seen)
  type: dict
waves:
  description: Sizes of the waves; they take the ready hosts in order of their names.
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
