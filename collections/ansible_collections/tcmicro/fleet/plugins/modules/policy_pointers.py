#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of an action plugin: it runs on the controller only."""

from __future__ import annotations

DOCUMENTATION = r"""
module: policy_pointers
short_description: Publish bundles and a signed pointer per host, for hosts that pull
version_added: 0.1.0
author: The tcmicro developers (@tcmicro)
description:
  - Runs once on the controller. Writes bundles, their signatures and a signed pointer for each host into a directory that a web
    server shows. Hosts with C(tcmicro-pull.timer) fetch their pointer by themselves, try what it names, and keep it or go back.
  - A pointer that says what it said is left alone until half its time is over. Then it is renewed under its serial, so that
    a host that went back does not try the same once more.
  - Bundles that no pointer names any more are removed.
options:
  bundles:
    description: The digest of each host's bundle, as M(tcmicro.fleet.bundles) returns it.
    type: dict
    required: true
  directory:
    description: Where the bundles are.
    type: path
    required: true
  mirror:
    description: The directory that is published. It is made if need be.
    type: path
    required: true
  hosts:
    description: Whose pointers are written; the others stay as they are.
    type: list
    elements: str
    required: true
  signing_key:
    description: The Ed25519 key on the controller, as PEM without passphrase; the file may be in a vault.
    type: path
    required: true
  valid_s:
    description: Seconds until pointers and signatures expire. What rules then stays.
    type: int
    default: 604800
  share:
    description: Percentage of the hosts that may go on already; which, each host finds out by its name and the serial.
    type: int
    default: 100
  epoch:
    description: Number of this controller; hosts refuse every lower one afterwards.
    type: int
  confirm:
    description:
      - What a host has to find out before it keeps the policy, by host. C(within_s), from 15 to 3600 (60); C(evidence), C(required)
        (the mirror and all checks take new connections, and the policy judged one of them) or C(contact); C(checks), a list of
        C(address) and C(port) that have to take a TCP connection.
    type: dict
    default: {}
  again:
    description: Give every host a new serial, so that it tries also what went back there, or is older than what it has.
    type: bool
    default: false
extends_documentation_fragment: [tcmicro.fleet.attributes.controller]
seealso:
  - module: tcmicro.fleet.bundles
  - module: tcmicro.fleet.pull_report
"""

EXAMPLES = r"""
- name: Publish the policies for a quarter of the hosts
  tcmicro.fleet.policy_pointers:
    bundles: "{{ resolved.bundles }}"
    directory: build/bundles
    mirror: /srv/tcmicro
    hosts: "{{ ansible_play_hosts_all }}"
    signing_key: /etc/tcmicro-controller/policy.key.pem
    share: 25
    confirm:
      web1: {within_s: 90, checks: [{address: 10.0.0.53, port: 53}]}
  run_once: true
"""

RETURN = r"""
published:
  description: Hosts whose pointer names something new, or is to be tried again.
  returned: success
  type: list
  elements: str
renewed:
  description: Hosts whose pointer says something else of the same bundle, or is good for longer.
  returned: success
  type: list
  elements: str
pointers:
  description: Digest and serial of each host's pointer.
  returned: success
  type: dict
  sample: {web1: {digest: 2f0a9f0c2c9d6f2ad6f1d6a1c1a3c6f3b1f2b8b7d65a1ad0a5d8f5a0b6a3c911, serial: 1795259541}}
"""
