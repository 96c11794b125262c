# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Steps of a wave from its verdict on: what follows from it, and who has said that the change is kept."""

from __future__ import annotations

from ansible_collections.tcmicro.fleet.plugins.plugin_utils import course
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.journal import verdicts
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.journal.journal import Journal
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.journal.states import (
    Host,
    Rollout,
    Wave,
)
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.journal.waves import (
    Answer,
    Given,
    course_of_bake,
    what_failed,
)


def judged(journal: Journal, given: Given) -> Answer:
    """Write the verdict down and what follows from it."""
    rollout, verdict = given["rollout"], verdicts.normal(given["verdict"])
    with journal.database.write(journal.epoch):
        number = journal.load(rollout).hosts[given["hosts"][0]].wave
        journal.verdict(rollout, number, verdict)
        record = journal.load(rollout)
        following = course.after_verdict(verdict["outcome"], record.looks[number])
        if following == "keep":
            journal.wave(rollout, number, Wave.JUDGED)
            journal.intend(rollout, "keep", given["hosts"])
        if following == "stop":
            verdicts.stop(journal, record, number, verdict)
    known = course_of_bake(record, number)
    return {"next": following, **known, "wait": True, "extension": given["extension"] + 1}


def kept(journal: Journal, given: Given) -> Answer:
    """The wave has passed when every host of it has said that it keeps the change."""
    record = journal.load(given["rollout"])
    number = record.hosts[given["hosts"][0]].wave
    failures = {host: what_failed(given["results"].get(host)) for host in given["hosts"]}
    outcomes = {h: (Host.LOST if text else Host.KEPT, text) for h, text in failures.items()}
    bad = [f"{host}: not kept: {text}" for host, text in failures.items() if text]
    with journal.database.write(journal.epoch):
        journal.done(record.id, "keep", outcomes)
        journal.due(record.id, {h: None for h, text in failures.items() if not text})
        journal.wave(record.id, number, Wave.FAILED if bad else Wave.PASSED)
        if bad:
            journal.state(record.id, Rollout.STOPPING, "; ".join(bad))
    return {"next": "stop" if bad else "passed"}
