# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The steps of a rollout that the journal takes part in. Each writes at most once, so that a controller which is lost
finds either all or nothing of a step there.

A step is given the parameters of M(tcmicro.fleet.rollout_journal) and returns what the playbook goes on by.
"""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from ansible_collections.tcmicro.fleet.plugins.plugin_utils import course, way_back
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
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.looks import first_line, trouble

FRESH_S = 120  # how old a look of the planning may be that serves as the one before the change

Given = Mapping[str, Any]
Answer = dict[str, Any]


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


def waves_of(plan: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Number and hosts of each wave of a plan."""
    if "wave_of" not in plan:
        return list(plan.get("waves", ()))
    if "plan" in plan:
        return list(plan["plan"]["waves"])
    numbers = plan["wave_of"]
    return [
        {"number": n, "hosts": [host for host in plan["ready"] if numbers[host] == n]}
        for n in sorted(set(numbers.values()))
    ]


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


def assigned(batches: Iterable[Iterable[HostRow]]) -> list[dict[str, Any]]:
    """Hosts with the number of their batch, in order."""
    return [
        {"host": row.host, "batch": number}
        for number, batch in enumerate(batches, 1)
        for row in batch
    ]


# --- one wave


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


def tickets_of(rows: Iterable[HostRow]) -> Answer:
    """By what hosts are told to keep a policy, of those that have it under a lease."""
    return {row.host: row.ticket for row in rows if row.ticket}


def controls_of(record: Record, number: int) -> list[str]:
    """Hosts that a wave is compared with, as planned."""
    waves = waves_of(record.plan)
    return next((list(w.get("controls", ())) for w in waves if w["number"] == number), [])


def course_of_bake(record: Record, number: int) -> Answer:
    """What the next bake of a wave needs to know. Looks that another controller took count as verdicts, not as bakes."""
    rows = record.of_wave(number)
    return {
        "failures": {row.host: row.failure for row in rows if row.failure},
        "controls": controls_of(record, number),
        "tickets": tickets_of(rows),
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
            _stop(journal, journal.load(record.id), number, verdict)
        if following == "again" and then.share:
            journal.share(record.id, number, then.share, then.document()["lasts_s"])
    return {"next": following, **known, **then.document()}


def _verdict_on(given: Given) -> Answer:
    """That of the gate, unless a host could not be staged."""
    failed = {host: what_failed(given["results"].get(host)) for host in given["hosts"]}
    told = [f"{host}: not staged: {text}" for host, text in failed.items() if text]
    return normal({"outcome": "refused", "reasons": told} if told else given["verdict"])


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


def what_failed(result: Any) -> str:
    """Why the change of a host failed, "" when it did not; no result is a failure."""
    if not result:
        return "nothing was heard from it"
    if result.get("unreachable"):
        return trouble(result)
    return first_line(result.get("msg")) if result.get("failed") else ""


def judged(journal: Journal, given: Given) -> Answer:
    """Write the verdict down and what follows from it."""
    rollout, verdict = given["rollout"], normal(given["verdict"])
    with journal.database.write(journal.epoch):
        number = journal.load(rollout).hosts[given["hosts"][0]].wave
        journal.verdict(rollout, number, verdict)
        record = journal.load(rollout)
        following = course.after_verdict(verdict["outcome"], record.looks[number])
        if following == "keep":
            journal.wave(rollout, number, Wave.JUDGED)
            journal.intend(rollout, "keep", given["hosts"])
        if following == "stop":
            _stop(journal, record, number, verdict)
    known = course_of_bake(record, number)
    return {"next": following, **known, "wait": True, "extension": given["extension"] + 1}


def _stop(journal: Journal, record: Record, number: int, verdict: Answer) -> None:
    reason = "; ".join(verdict["reasons"]) or verdict["outcome"]
    journal.wave(record.id, number, Wave.FAILED)
    journal.state(record.id, Rollout.STOPPING, reason)
    if verdict["outcome"] == "fail":
        denylist.deny(journal, record.id, guilty(journal.load(record.id)), reason)


def guilty(record: Record) -> list[str]:
    """Digests that a failed verdict speaks against: those of the release, or the bundles of the hosts that failed."""
    if record.kind == "release":
        return sorted(record.request.get("digests", {}).values())
    named = way_back.failed_hosts(record) or {
        row.host for row in record.hosts.values() if row.state in TOUCHED
    }
    return sorted({row.wanted for row in record.hosts.values() if row.host in named})


def normal(verdict: Mapping[str, Any]) -> Answer:
    """A verdict as the gate gives it; its findings are its reasons, its figures and series are for the report."""
    outcome = str(verdict.get("outcome") or verdict.get("verdict"))
    reasons = verdict.get("reasons")
    findings = list(verdict.get("findings") or [_finding(text, outcome) for text in reasons or ()])
    if reasons is None:
        bad = [f for f in findings if f["outcome"] != "pass" and f.get("enforce", True)]
        reasons = [f"{f['host']}: {f['text']}" if f.get("host") else f["text"] for f in bad]
    shown = {key: verdict[key] for key in ("figures", "series", "staged") if verdict.get(key)}
    return {"outcome": outcome, "reasons": list(reasons), "findings": findings, **shown}


def _finding(reason: str, outcome: str) -> Answer:
    host, _, text = reason.partition(": ")
    return {"host": host, "outcome": outcome, "text": text}


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


# --- the way back, and the end


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


STEPS: dict[str, Callable[[Journal, Given], Answer]] = {
    "plan": plan,
    "retried": retried,
    "change": change,
    "staged": staged,
    "changed": changed,
    "judged": judged,
    "kept": kept,
    "ask_back": ask_back,
    "back": back,
    "take_back": take_back,
    "taken_back": taken_back,
    "finish": finish,
}
