#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of an action plugin: it runs on the controller only."""

from __future__ import annotations

DOCUMENTATION = r"""
module: variables
short_description: Refuse variables of the inventory that nothing reads
version_added: 0.1.0
author: The tcmicro developers (@tcmicro)
description:
  - Runs once on the controller. Of all hosts of a group it looks at the names of variables that begin with C(tcmicro_), wherever they come
    from, C(-e) included, and fails with all of them that are no option of a role in the roles path and nothing else the collection knows.
  - Says the nearest name that is known, or what became of one that is not read any more.
  - Names that awx/configure.yml reads (C(tcmicro_awx_)) are left alone, and what plays register or set.
options:
  hosts_group:
    description: The group of the inventory whose hosts are looked at, whatever C(--limit) says.
    type: str
    default: tcmicro
  refuse:
    description: Whether to fail. Else it is a warning, so that nothing is in the way of going back.
    type: bool
    default: true
extends_documentation_fragment: [tcmicro.fleet.attributes.controller]
seealso:
  - module: tcmicro.fleet.bundles
"""

EXAMPLES = r"""
- name: Refuse variables that nothing reads
  tcmicro.fleet.variables:
  run_once: true
"""

RETURN = r"""
unread:
  description: One line for each variable that nothing reads.
  returned: success
  type: list
  elements: str
  sample: ["tcmicro_agnet_mode (db1, web1): unknown; did you mean tcmicro_agent_mode?"]
"""
