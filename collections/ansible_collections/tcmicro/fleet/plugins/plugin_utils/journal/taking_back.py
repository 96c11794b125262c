# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Steps of the way back, and the end of a rollout."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any

from ansible_collections.tcmicro.fleet.plugins.plugin_utils import course, way_back
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.journal.journal import HostRow, Journal
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.journal.states import Host, Rollout
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.journal.waves import (
    Answer,
    Given,
    assigned,
)


def ask_back(journal: Journal, given: Given) -> Answer:
    """Somebody wants hosts taken back: those of a rollout, or any, by what they say that they ran before."""
    rollout, looks = given["rollout"], given["looks"]
    with journal.database.write(journal.epoch):
        if given["new"]:
            rows = list(_back_rows(journal, given, looks))
            journal.begin(rollout, given["kind"], given["subject"], {})
            journal.plan(rollout, {"waves": []}, rows)
            journal.due(rollout, {row.host: row.back_by for row in rows})
        journal.state(rollout, Rollout.STOPPING, course.ASKED)
    return {}


def _back_rows(journal: Journal, given: Given, looks: Mapping[str, Any]) -> Iterator[HostRow]:
    release = "" if given["subject"] == "the release before" else given["subject"]
    for host in given["hosts"]:
        if given["kind"] == "policy":
            yield _policy_row(host, looks.get(host) or {}, journal.taken_back_to(host))
        else:
            yield _release_row(host, looks.get(host), release)


def _release_row(host: str, look: Any, release: str) -> HostRow:
    """Where the host does not say what it ran before, it is to stay on what it runs."""
    releases = (look or {}).get("releases") or {}
    before = release or releases.get("previous") or releases.get("current") or ""
    return HostRow(host, 1, Host.KEPT, str(releases.get("current") or ""), before, look or {})


def _policy_row(host: str, look: Mapping[str, Any], back_on: str) -> HostRow:
    """One that is back on its policy already (`back_on`) stays there, as does one that had none before. What waits to be
    confirmed, or is under a lease, is taken back by itself at `back_by`."""
    status = look.get("status") or {}
    policy, change = status.get("policy") or {}, status.get("transaction") or {}
    now, previous = str(policy.get("digest") or ""), policy.get("previous") or {}
    left_s = change.get("deadline_in_s") if change.get("state") in ("pending", "leased") else None
    stays = left_s is None and (not previous or now == back_on)
    before = now if stays else str(previous.get("digest") or "")
    back_by = None if left_s is None else time.time() + float(left_s)
    return HostRow(host, 1, Host.KEPT, now, before, look, back_by=back_by)


def back(journal: Journal, given: Given) -> Answer:
    """Who goes back in which order, once a rollout has failed; nobody else. One that was cut is left to be resumed."""
    record = journal.load(given["rollout"])
    wanted = given["hosts"] or list(record.hosts)
    stopping = record.state is Rollout.STOPPING
    order = way_back.order(record, given["domains"]) if stopping else []
    batches = [[record.hosts[h] for h in batch if h in wanted] for batch in order]
    rows = record.hosts.values()
    return {
        "assign": assigned(batch for batch in batches if batch),
        "before": {row.host: row.before for row in rows},
        "trying": [row.host for row in rows if row.back_by is not None],
        "domains": given["domains"],
    }


def take_back(journal: Journal, given: Given) -> Answer:
    """The hosts of the next batch, but those of domains in which taking back fails; nobody where it fails on too many."""
    record = journal.load(given["rollout"])
    if record.state is not Rollout.STOPPING:
        return {"next": "stop"}
    domain_of = given["domains"]
    broken = way_back.halted_domains(record, domain_of)
    left = {h: domain_of[h] for h in given["hosts"] if domain_of.get(h) in broken}
    hosts = [host for host in given["hosts"] if host not in left]
    with journal.database.write(journal.epoch):
        if way_back.halted(record):
            journal.state(record.id, Rollout.HALTED, "taking back fails on too many hosts")
            return {"next": "stop"}
        if left:
            told = {h: f"left alone: taking back fails in {name}" for h, name in left.items()}
            journal.found(record.id, {h: (record.hosts[h].state, told[h]) for h in left})
        journal.intend(record.id, "back", hosts)
    return {"next": "back", "hosts": hosts}


def taken_back(journal: Journal, given: Given) -> Answer:
    """What each host attests to be on."""
    record = journal.load(given["rollout"])
    outcomes = {
        host: (Host.RESTORED, "")
        if given["check"]
        else course.attest(
            record, record.hosts[host], given["results"].get(host), given["looks"].get(host)
        )
        for host in given["hosts"]
    }
    journal.done(record.id, "back", outcomes)
    return {}


def finish(journal: Journal, given: Given) -> Answer:
    """The end, if it is one, and how it is told."""
    record = journal.load(given["rollout"])
    if record.state is Rollout.RUNNING and course.complete(record):
        journal.state(record.id, Rollout.DONE, "")
    elif record.state is Rollout.STOPPING:
        journal.state(record.id, course.ended(record), "")
    record, last = journal.load(record.id), given.get("stop_after", 0)
    asked_back = given["asked"] and record.state is Rollout.BACK
    waits = course.as_far_as(record, last)
    summary = course.waits(record, last) if waits else course.summary(record)
    return {
        "state": record.state.value,
        "passed": record.state is Rollout.DONE or asked_back or waits,
        "summary": summary if not given["check"] else "checked; nothing was changed",
    }
