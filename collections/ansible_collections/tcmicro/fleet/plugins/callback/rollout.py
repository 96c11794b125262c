# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What happens in a rollout, while it happens: lines for people, events for machines. Beside the screen output that is
configured, not in its place: it hears no less of it, works under AWX too, and a fault in here stops nothing."""

from __future__ import annotations

DOCUMENTATION = r"""
name: rollout
type: notification
short_description: Show where a rollout is
version_added: 0.1.0
author: The tcmicro developers (@tcmicro)
description:
  - Says for every wave of a rollout who is changed, how long it bakes still, what the gate found and how the wave ended, in lines
    that begin with the wave. Of other playbooks it says nothing.
  - Writes the same as JSON, an event a line, to a file.
  - Colours are those of Ansible, so E(NO_COLOR) and output to a file turn them off. No line is ever overwritten.
  - With E(ANSIBLE_DISPLAY_OK_HOSTS=false) the tasks that change nothing are not shown beside it.
requirements:
  - C(tcmicro.fleet.rollout) in C(callbacks_enabled) of C(ansible.cfg)
options:
  view:
    description: Whether lines for people are shown.
    type: bool
    default: true
    env: [{name: TCMICRO_ROLLOUT_VIEW}]
    ini: [{section: callback_rollout, key: view}]
    vars: [{name: rollout_view}]
  events:
    description:
      - File that events are appended to. As a variable it has to be an extra variable, like C(-e rollout_events=PATH).
      - Where it cannot be written, a warning is given once and the rollout goes on.
    type: path
    env: [{name: TCMICRO_ROLLOUT_EVENTS}]
    ini: [{section: callback_rollout, key: events}]
    vars: [{name: rollout_events}]
"""

import json
import time
from typing import Any

from ansible import constants
from ansible.plugins.callback import CallbackBase
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.progress.events import (
    FAILED,
    OK,
    UNREACHABLE,
    Event,
    Heard,
    Progress,
)
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.progress.view import Mood, lines

SCHEMA = 1
OURS = ("tcmicro.fleet.", "ansible.builtin.")
COLOURS = {Mood.WELL: constants.COLOR_OK, Mood.UNWELL: constants.COLOR_ERROR}


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "tcmicro.fleet.rollout"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self) -> None:
        super().__init__()
        self._progress = Progress()
        self._writes = True

    def v2_playbook_on_play_start(self, play: Any) -> None:
        """The first moment at which extra variables are known."""
        self.set_options(var_options=play.get_variable_manager().extra_vars)

    def v2_runner_on_ok(self, result: Any) -> None:
        self._hear(result, OK)

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:  # noqa: FBT001, FBT002
        self._hear(result, FAILED)

    def v2_runner_on_unreachable(self, result: Any) -> None:
        self._hear(result, UNREACHABLE)

    def _hear(self, result: Any, outcome: str) -> None:
        collection, _, action = str(result.task.action).rpartition(".")
        if f"{collection}." in OURS:
            host = result.host.get_name()
            heard = Heard(action, result.task.args, host, outcome, result.result)
            for event in self._progress.events(heard):
                self._tell(event)

    def _tell(self, event: Event) -> None:
        if self.get_option("view"):
            for line in lines(event):
                self._display.display(line.text, color=COLOURS.get(line.mood))
        path = self.get_option("events")
        if path and self._writes:
            self._write(path, {"schema": SCHEMA, "time": time.time(), **event})

    def _write(self, path: str, document: Event) -> None:
        """A line at a time, so that whoever follows the file sees it at once."""
        try:
            with open(path, "a", encoding="utf-8") as file:
                file.write(json.dumps(document) + "\n")
        except OSError as exc:
            self._writes = False
            self._display.warning(f"rollout_events: {exc}; events are not written any more")
