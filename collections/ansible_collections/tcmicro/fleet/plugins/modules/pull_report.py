#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of an action plugin: it runs on the controller only."""

from __future__ import annotations

DOCUMENTATION = r"""
module: pull_report
short_description: Tell which hosts that pull run what they should, which are late, which went back
version_added: 0.1.0
author: The tcmicro developers (@tcmicro)
description:
  - Runs once on the controller. Holds what hosts say of their last pull against the pointers in the directory of the mirror.
  - A host is C(current); C(waiting), for its share to come; C(pending) or, after O(grace_s), C(late); or it C(went back). One that gave
    C(no answer), C(does not pull) or has C(no pointer) is named as well.
options:
  mirror:
    description: The directory that M(tcmicro.fleet.policy_pointers) publishes.
    type: path
    required: true
  hosts:
    description: Every host that should have a row.
    type: list
    elements: str
    required: true
  looks:
    description: What M(tcmicro.fleet.pull_info) returned, by host.
    type: dict
    required: true
  grace_s:
    description: Seconds after its pointer was written by which a host should run what it names.
    type: int
    default: 1800
extends_documentation_fragment: [tcmicro.fleet.attributes.controller]
seealso:
  - module: tcmicro.fleet.pull_info
"""

EXAMPLES = r"""
- name: Say where the fleet is
  tcmicro.fleet.pull_report:
    mirror: /srv/tcmicro
    hosts: "{{ ansible_play_hosts_all }}"
    looks: "{{ ansible_play_hosts_all | tcmicro.fleet.per_host(hostvars, 'pulled') }}"
  run_once: true
  register: report
"""

RETURN = r"""
rows:
  description: C(host), C(state), C(live), C(wanted), C(pulled_at) and C(why) of each host.
  returned: success
  type: list
  elements: dict
table:
  description: The rows as lines.
  returned: success
  type: list
  elements: str
summary:
  description: How many hosts are in each state.
  returned: success
  type: dict
  sample: {current: 995, late: 3, went back: 2}
complaint:
  description: Which hosts somebody has to look at; empty when none.
  returned: success
  type: str
"""
