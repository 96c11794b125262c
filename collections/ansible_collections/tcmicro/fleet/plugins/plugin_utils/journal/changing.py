# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Steps of a wave up to its change: may it be changed, what the staged policies did, what became of the change."""

from __future__ import annotations

import time
from typing import Any

from ansible_collections.tcmicro.fleet.plugins.plugin_utils import course
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.journal import rounds, verdicts
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.journal.journal import Journal, Record
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.journal.states import (
    Host,
    Rollout,
    Wave,
)
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.journal.waves import (
    Answer,
    Given,
    controls_of,
    course_of_bake,
    tickets_of,
    what_failed,
)

FRESH_S = 120  # how old a look of the planning may be that serves as the one before the change


def change(journal: Journal, given: Given) -> Answer:
    """May this wave be changed, and which of its hosts? Asked in front of every wave, and answered by the journal alone."""
    record = journal.load(given["rollout"])
    number = record.hosts[given["hosts"][0]].wave
    rows = record.of_wave(number)
    before = [state for n, state in record.waves.items() if n < number]
    well = record.state is Rollout.RUNNING and all(state is Wave.PASSED for state in before)
    if not well or {row.host for row in rows} != set(given["hosts"]):
        return {"next": "stop"}
    judged = all(row.state in (Host.KEEPING, Host.KEPT) for row in rows)
    apply = [row.host for row in rows if row.state is Host.PLANNED]
    # where nothing rules, or the same, there is nothing to compare with
    compare = [h for h in apply if record.hosts[h].before not in ("", record.hosts[h].wanted)]
    with journal.database.write(journal.epoch):
        if not judged:
            journal.wave(record.id, number, Wave.CHANGING)
            journal.intend(record.id, "apply", apply)
            journal.due(record.id, dict.fromkeys(apply, _deadline(record)))
            journal.tickets(record.id, dict.fromkeys(apply))
    return {
        "next": "keep" if judged else "judge",
        "apply": apply,
        "compare": compare,
        "controls": controls_of(record, number),
        "fresh": not given["resume"] and time.time() - record.created < FRESH_S,
        "tickets": tickets_of(rows),
        **rounds.first(record.request).document(),
    }


def staged(journal: Journal, given: Given) -> Answer:
    """May policies be made live that were compared with the live ones, or were given a share of the new flows? If not yet, what
    is done before; it is written down before it is done."""
    record = journal.load(given["rollout"])
    number = next(n for n, state in record.waves.items() if state is Wave.CHANGING)
    apply = [row.host for row in record.of_wave(number) if row.state is Host.APPLYING]
    known = {"apply": apply, "compare": given["hosts"], "controls": controls_of(record, number)}
    if given["check"]:
        return {"next": "judge", **known}
    done = rounds.Round(
        **{name: given["round"][name] for name in ("share", "seconds", "extension")}
    )
    verdict = {**_verdict_on(given), "round": vars(done)}
    following, then = rounds.following(record.request, done, verdict["outcome"])
    with journal.database.write(journal.epoch):
        journal.verdict(record.id, number, verdict, counted=False)
        if following == "stop":
            verdicts.stop(journal, journal.load(record.id), number, verdict)
        if following == "again" and then.share:
            journal.share(record.id, number, then.share, then.document()["lasts_s"])
    return {"next": following, **known, **then.document()}


def _verdict_on(given: Given) -> Answer:
    """That of the gate, unless a host could not be staged."""
    failed = {host: what_failed(given["results"].get(host)) for host in given["hosts"]}
    told = [f"{host}: not staged: {text}" for host, text in failed.items() if text]
    return verdicts.normal({"outcome": "refused", "reasons": told} if told else given["verdict"])


def changed(journal: Journal, given: Given) -> Answer:
    """What became of the change on each host, and by when those on trial go back."""
    record, results = journal.load(given["rollout"]), given["results"]
    applied = {host: what_failed(results.get(host)) for host in given["hosts"]}
    outcomes = {h: (Host.LOST if text else Host.APPLIED, text) for h, text in applied.items()}
    with journal.database.write(journal.epoch):
        journal.done(record.id, "apply", outcomes)
        journal.due(record.id, dict.fromkeys(applied, _deadline(record)))
        if record.kind == "policy":
            journal.tickets(record.id, {h: ticket(results.get(h)) for h in applied})
        record = journal.load(record.id)
        number = next(n for n, state in record.waves.items() if state is Wave.CHANGING)
        known = course_of_bake(record, number)
        if given["check"]:
            return _foreseen(journal, record, number, known["failures"])
    fresh = any(result.get("changed") for result in results.values())
    wait = fresh or len(applied) < len(record.of_wave(number))
    return {"next": "judge", **known, "wait": wait, "extension": 0}


def _foreseen(journal: Journal, record: Record, number: int, failures: Answer) -> Answer:
    """With --check nothing is judged but whether the change would be made."""
    journal.wave(record.id, number, Wave.FAILED if failures else Wave.PASSED)
    if failures:
        journal.state(record.id, Rollout.STOPPING, f"{failures}")
    return {"next": "stop" if failures else "checked"}


def ticket(result: Any) -> Any:
    """Id and token of a policy that was confirmed under a lease; None where nothing had to be changed."""
    found = (result or {}).get("transaction")
    return {key: found[key] for key in ("id", "token")} if found else None


def _deadline(record: Record) -> float:
    """When a host that is changed now has gone back at the latest, unless it is told to keep the change."""
    return time.time() + course.trial_s(int(record.request.get("bake", 0)))
