#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of an action plugin: it runs on the controller only."""

from __future__ import annotations

DOCUMENTATION = r"""
module: bundles
short_description: Resolve policies over the inventory into one bundle per host
version_added: 0.1.0
author: The tcmicro developers (@tcmicro)
description:
  - Runs once on the controller. Reads the policies, looks up whom they name in the inventory and writes what each
    host has to enforce as C(<digest>.json). Equal policies over an equal inventory give equal digests.
  - Fails with every fault of every policy at once, one on a line, and then writes nothing.
  - The whole inventory counts, whatever C(--limit) says.
  - A host is known at the addresses in its variable C(tcmicro_addresses), a list, or else at C(ansible_host) where
    that is an address. Its labels are the mapping C(tcmicro_labels).
  - A host that no policy names gets a bundle that allows everything.
options:
  policies:
    description: Directory on the controller whose C(*.yml) files hold the policies. It must hold one at least.
    type: path
    required: true
  directory:
    description: Where to write the bundles. It is made if need be; older bundles in it are left alone.
    type: path
    default: build/bundles
  hosts_group:
    description: The group of the inventory whose hosts exist for policies.
    type: str
    default: tcmicro
extends_documentation_fragment: [tcmicro.fleet.attributes.controller]
seealso:
  - module: tcmicro.fleet.policy
"""

EXAMPLES = r"""
- name: Resolve the policies
  tcmicro.fleet.bundles:
    policies: "{{ inventory_dir }}/policies"
    directory: build/bundles
  run_once: true
  register: resolved

- name: Make the policy of the host live
  tcmicro.fleet.policy:
    bundle: "{{ resolved.directory }}/{{ resolved.bundles[inventory_hostname] }}.json"
"""

RETURN = r"""
bundles:
  description: The digest of each host's bundle.
  returned: success
  type: dict
  sample:
    db1: 2f0a9f0c2c9d6f2ad6f1d6a1c1a3c6f3b1f2b8b7d65a1ad0a5d8f5a0b6a3c911
directory:
  description: Where the bundles are, as given.
  returned: success
  type: str
  sample: build/bundles
"""
