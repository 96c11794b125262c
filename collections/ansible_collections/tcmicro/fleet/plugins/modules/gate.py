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
  - Missing data never passes. A host that does not answer fails, one that answers half is inconclusive.
  - Does not fail by itself; the playbook decides by RV(verdict).
options:
  hosts:
    description: Every host of the wave, also those that failed.
    type: list
    elements: str
    required: true
  release:
    description: The release that each must report.
    type: str
    required: true
  seconds:
    description: How long the bake took, for the messages.
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
extends_documentation_fragment: [tcmicro.fleet.attributes.info]
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
