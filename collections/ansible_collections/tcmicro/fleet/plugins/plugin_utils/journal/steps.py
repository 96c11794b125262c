# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The steps of a rollout that the journal takes part in, by name. Each writes at most once, so that a controller which is
lost finds either all or nothing of a step there.

A step is given the parameters of M(tcmicro.fleet.rollout_journal) and returns what the playbook goes on by.
"""

from __future__ import annotations

from collections.abc import Callable

from ansible_collections.tcmicro.fleet.plugins.plugin_utils.journal import (
    changing,
    judging,
    planning,
    taking_back,
)
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.journal.journal import Journal
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.journal.waves import Answer, Given

STEPS: dict[str, Callable[[Journal, Given], Answer]] = {
    "plan": planning.plan,
    "retried": planning.retried,
    "change": changing.change,
    "staged": changing.staged,
    "changed": changing.changed,
    "judged": judging.judged,
    "kept": judging.kept,
    "ask_back": taking_back.ask_back,
    "back": taking_back.back,
    "take_back": taking_back.take_back,
    "taken_back": taking_back.taken_back,
    "finish": taking_back.finish,
}
