#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of an action plugin: it runs on the controller only."""

from __future__ import annotations

DOCUMENTATION = r"""
module: rollout_report
short_description: Write the report of a rollout and tell people
version_added: 0.1.0
author: The tcmicro developers (@tcmicro)
description:
  - Runs once on the controller. Writes C(report.md), C(report.html), C(junit.xml) and C(record.json) below the journal.
  - A report that cannot be written, a webhook or command that fails is named in RV(not_told) and changes nothing.
options:
  directory:
    description: Folder of the journal.
    type: path
    required: true
  rollout:
    description: Id of the rollout.
    type: str
    required: true
  webhook:
    description: Address that gets a JSON summary by POST; its member C(text) is what chat programs show.
    type: str
    default: ""
  command:
    description: A command, word by word, that gets the report as Markdown on its standard input.
    type: list
    elements: str
    default: []
extends_documentation_fragment: [tcmicro.fleet.attributes.controller]
seealso:
  - module: tcmicro.fleet.rollout_journal
"""

EXAMPLES = r"""
- name: Report, and mail it
  tcmicro.fleet.rollout_report:
    directory: "{{ inventory_dir }}/.rollouts"
    rollout: "{{ tcmicro_rollout.id }}"
    command: [mail, -s, "rollout {{ tcmicro_rollout.id }}", ops@example.org]
  run_once: true
"""

RETURN = r"""
files:
  description: Paths of what was written.
  returned: success
  type: list
  elements: str
  sample: [inventories/prod/.rollouts/20261121-135200-3f9a/report.md]
not_told:
  description: What went wrong with the webhook or the command.
  returned: success
  type: list
  elements: str
"""
