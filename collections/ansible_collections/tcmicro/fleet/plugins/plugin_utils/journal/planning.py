# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Steps in front of the first wave: a new rollout is written down, or it is found out where the hosts of one stand that is
gone on with."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from typing import Any

from ansible_collections.tcmicro.fleet.plugins.plugin_utils import course
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.journal import denylist, rounds
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.journal.holding import approved_first
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.journal.journal import (
    HostRow,
    Journal,
    Record,
)
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.journal.observation import (
    observe,
    running,
)
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.journal.reconcile import (
    Decision,
    Do,
    decide,
    decide_back,
)
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.journal.states import (
    OPEN,
    TOUCHED,
    Host,
    JournalError,
    Rollout,
    Wave,
)
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.journal.waves import (
    Answer,
    Given,
    assigned,
    waves_of,
)


def plan(journal: Journal, given: Given) -> Answer:
    """Write down a new rollout with its plan; or find out where the hosts of one stand that is gone on with."""
    rollout = given["rollout"]
    last = given.get("stop_after", 0)
    if given["resume"]:
        return resume(journal, rollout, given["looks"], last)
    waves, looks, kind = waves_of(given["plan"]), given["looks"], given["kind"]
    wanted = {
        h: given["wanted"].get(h) or given["subject"] for wave in waves for h in wave["hosts"]
    }
    subject = given["subject"] or digest_of(wanted)
    request = {**given["request"], **rounds.read(given["request"], kind)}
    approved_first(request.get("approve"))
    named = request.get("digests") or {f"the bundle of {h}": d for h, d in wanted.items()}
    denylist.refuse(journal, named, given["allow_denied"])
    hosts = [
        HostRow(h, wave["number"], Host.PLANNED, wanted[h], running(kind, looks[h]), looks[h])
        for wave in waves
        for h in wave["hosts"]
    ]
    with journal.database.write(journal.epoch):
        journal.begin(rollout, kind, subject, request)
        journal.plan(rollout, given["plan"], hosts)
        if given["allow_denied"]:
            denylist.lift(journal, rollout, given["allow_denied"])
    return standing(journal.load(rollout), last)


def digest_of(wanted: Mapping[str, str]) -> str:
    """One digest for the bundles of many hosts."""
    text = json.dumps(sorted(wanted.items()), separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def resume(journal: Journal, rollout: str, looks: Mapping[str, Any], last: int = 0) -> Answer:
    """Every host says where it is; what to do with it stands in the table of reconcile.py."""
    record = journal.load(rollout)
    if record.state not in OPEN:
        raise JournalError(f"rollout {rollout} is over: {course.summary(record)}")
    found = decisions(record, looks)
    stops = [f"{host}: {d.why}" for host, d in found.items() if d.do is Do.STOP]
    if stops:
        raise JournalError(
            f"rollout {rollout} cannot go on, nothing was changed: {'; '.join(stops)}. Mend it and go on with "
            f"-e rollout={rollout}, or take its hosts back: playbooks/rollback.yml -e rollout={rollout}"
        )
    states = {h: (STATES[d.do], d.why) for h, d in found.items() if d.do in STATES}
    retried = {host: d.why for host, d in found.items() if d.do is Do.RETRY}
    with journal.database.write(journal.epoch):
        journal.found(rollout, states)
        if retried:
            journal.retry(rollout, retried)
    again = [host for host, d in found.items() if d.do is Do.AGAIN]
    return {**standing(journal.load(rollout), last), "again": again}


STATES = {
    Do.APPLY: Host.PLANNED,
    Do.ADOPT: Host.APPLIED,
    Do.KEEP: Host.KEEPING,
    Do.KEPT: Host.KEPT,
    Do.BACK: Host.TAKING_BACK,
    Do.RESTORED: Host.RESTORED,
    Do.LOST: Host.LOST,
}


def decisions(record: Record, looks: Mapping[str, Any]) -> dict[str, Decision]:
    """By host. Of a rollout that failed, every host that was touched goes back and no other is changed."""
    needs_s = course.needs_s(int(record.request.get("bake", 0)))
    found = {}
    for row in record.hosts.values():
        seen = observe(record.kind, row.wanted, row.before, looks.get(row.host))
        told = record.kind == "release" or row.ticket
        if record.state is Rollout.RUNNING:
            # whoever cannot tell a host to keep it has to begin anew
            least = needs_s if told else math.inf
            found[row.host] = decide(row.state, seen, retries=row.retries, needs_s=least)
        elif row.state in TOUCHED:
            found[row.host] = decide_back(seen)
    return found


def retried(journal: Journal, given: Given) -> Answer:
    """Hosts whose trial would have ended too soon are back on what they had, and begin anew."""
    causes = dict.fromkeys(given["hosts"], "its trial would have ended before it was judged")
    journal.retry(given["rollout"], causes)
    return {}


def standing(record: Record, last: int = 0) -> Answer:
    """Where a rollout stands, as the plays need it. `last`: the wave after which this run ends, 0 for none."""
    wanted = [n for n in record.waves if not last or n <= last]
    left = [n for n in wanted if record.waves[n] is not Wave.PASSED]
    going = record.state is Rollout.RUNNING
    bake = int(record.request.get("bake", 0))
    return {
        "id": record.id,
        "again": [],
        "wanted": {row.host: row.wanted for row in record.hosts.values()},
        "assign": assigned([record.of_wave(n) for n in left] if going else []),
        "before": {row.host: row.look for row in record.hosts.values()},
        "bake": bake,
        "trial_s": course.trial_s(bake),
        "expected_diffs": record.request.get("expected_diffs", []),
    }
