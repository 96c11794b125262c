# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Results of tasks → what happens in a rollout, as events while it happens. Pure.

An event is a mapping `{"event": kind, "rollout": id, …}`; the kinds and their members stand in docs/rollout-control.md.
What is not part of a rollout makes no event, so that other playbooks are passed over.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.tcmicro.fleet.plugins.plugin_utils.looks import first_line, trouble

OK, FAILED, UNREACHABLE = "ok", "failed", "unreachable"
ACTS = ("agent_release", "policy", "policy_stage")
PLANNING = ("rollout_journal", "rollout_plan", "bundles")

Event = dict[str, Any]
Events = Iterator[Event]


@dataclass(frozen=True)
class Heard:
    """The result of a task on a host: `action` without its collection, `args` as they are written."""

    action: str
    args: Mapping[str, Any]
    host: str
    outcome: str
    result: Mapping[str, Any]


@dataclass
class Progress:
    """Where a rollout is, by the results heard until now. `doing`: what is done to the hosts of the wave; `judging`: a
    policy that is only staged, or the change."""

    rollout: str = ""
    kind: str = ""
    doing: str = "again"
    judging: str = "change"
    wave: int | None = None
    bake_s: int = 0
    left_s: int = 0
    planned: Mapping[str, Any] = field(default_factory=dict)
    tally: Counter[str] = field(default_factory=Counter)

    def events(self, heard: Heard) -> Events:
        """What this result means."""
        if heard.action in PLANNING and heard.outcome != OK:
            yield self._event("error", step=heard.args.get("step", heard.action), text=_why(heard))
        elif heard.action == "rollout_journal":
            yield from self._step(str(heard.args.get("step")), heard.result)
        elif heard.action == "rollout_plan" and "plan" in heard.result:
            self.planned = heard.result
        elif self.rollout and heard.action in ACTS:
            yield self._host(heard)
        elif self.rollout and heard.action == "gate":
            yield from self._gate(heard)
        elif self.left_s and heard.action == "pause":
            yield from self._baked(int(heard.result.get("delta", 0)))

    def _step(self, step: str, answer: Mapping[str, Any]) -> Events:
        if answer.get("id"):
            self.rollout = str(answer["id"])
        handler = STEPS.get(step)
        if handler is not None:
            yield from handler(self, answer)

    def _event(self, name: str, /, **members: Any) -> Event:
        return {"event": name, "rollout": self.rollout, **members}

    def _of_wave(self, name: str, /, **members: Any) -> Event:
        return self._event(name, wave=self.wave, **members)

    # --- hosts and gates

    def _host(self, heard: Heard) -> Event:
        act = "stage" if heard.action == "policy_stage" else self.doing
        outcome = heard.outcome
        if outcome == OK:
            outcome = "changed" if heard.result.get("changed") else "unchanged"
        self.tally[outcome] += 1
        text = "" if heard.outcome == OK else _why(heard)
        return self._of_wave("host", host=heard.host, act=act, outcome=outcome, text=text)

    def _gate(self, heard: Heard) -> Events:
        """A look during the bake is told only when it ends the bake."""
        outcome, early = heard.result.get("outcome"), bool(heard.args.get("only_invariants"))
        if heard.outcome != OK:
            yield self._event("error", step="gate", text=_why(heard))
        elif not early or outcome == "fail":
            self.left_s = 0 if early else self.left_s
            reasons = list(heard.result.get("reasons", ()))
            known = {"of": self.judging, "outcome": outcome, "reasons": reasons, "early": early}
            yield self._of_wave("gate", **known)

    def _baked(self, seconds: int) -> Events:
        self.left_s = max(0, self.left_s - seconds)
        if self.left_s:
            yield self._of_wave("bake", left_s=self.left_s)

    # --- steps of the journal

    def _opened(self, answer: Mapping[str, Any]) -> Events:
        self.kind, subject = str(answer.get("kind", "")), str(answer.get("subject", ""))
        resumed = bool(answer.get("resume"))
        yield self._event("begin", kind=self.kind, subject=subject, resumed=resumed)

    def _plan(self, answer: Mapping[str, Any]) -> Events:
        self.bake_s = int(answer.get("bake", 0))
        plan = self.planned.get("plan") or {}
        waves = [
            {"wave": wave["number"], "stage": wave["stage"], "hosts": list(wave["hosts"])}
            for wave in plan.get("waves", ())
        ]
        missing = dict(self.planned.get("missing") or {})
        hosts = [each["host"] for each in answer["assign"]]
        known = {"hosts": hosts, "bake_s": self.bake_s, "waves": waves, "missing": missing}
        yield self._event("plan", **known)

    def _hold(self, answer: Mapping[str, Any]) -> Events:
        self.wave, self.tally = answer["wave"], Counter()
        known = {"waves": answer["waves"], "hosts": list(answer["hosts"])}
        if answer["next"] == "abort":
            yield self._of_wave("end_of_wave", passed=False, text=answer["why"])
        else:
            yield self._of_wave("wave", **known)

    def _change(self, answer: Mapping[str, Any]) -> Events:
        self.doing = "keep" if answer["next"] == "keep" else "apply"
        if self.kind == "policy" and answer["next"] == "judge" and answer.get("compare"):
            yield self._round(answer)

    def _staged(self, answer: Mapping[str, Any]) -> Events:
        self.tally.clear()
        if answer["next"] == "again":
            yield self._round(answer)
        yield from self._stopped(answer)

    def _round(self, answer: Mapping[str, Any]) -> Event:
        """The staged policies judge so many percent of the new flows."""
        self.judging, self.left_s = "staged", int(answer["seconds"])
        return self._of_wave("staged", share=int(answer["share"]), left_s=self.left_s)

    def _changed(self, answer: Mapping[str, Any]) -> Events:
        self.judging, self.left_s = "change", 0
        counts = {name: self.tally[name] for name in ("changed", "unchanged", FAILED, UNREACHABLE)}
        yield self._of_wave("changed", **counts)
        yield from self._bake(answer)
        yield from self._stopped(answer)

    def _judged(self, answer: Mapping[str, Any]) -> Events:
        self.doing = "keep"
        yield from self._bake(answer)
        yield from self._stopped(answer)

    def _bake(self, answer: Mapping[str, Any]) -> Events:
        """It is not waited where nothing changed, or something already failed."""
        waits = answer.get("next") == "judge" and answer.get("wait") and not answer.get("failures")
        self.left_s = self.bake_s if waits else 0
        if self.left_s:
            yield self._of_wave("bake", left_s=self.left_s)

    def _kept(self, answer: Mapping[str, Any]) -> Events:
        if answer["next"] == "passed":
            yield self._of_wave("end_of_wave", passed=True, text="")
        yield from self._stopped(answer)

    def _stopped(self, answer: Mapping[str, Any]) -> Events:
        if answer["next"] == "stop":
            yield self._of_wave("end_of_wave", passed=False, text="")

    def _back(self, answer: Mapping[str, Any]) -> Events:
        self.wave, self.doing = None, "back"
        hosts = [each["host"] for each in answer["assign"]]
        if hosts:
            yield self._event("back", hosts=hosts)

    def _finished(self, answer: Mapping[str, Any]) -> Events:
        yield self._event(
            "end", state=answer["state"], passed=bool(answer["passed"]), text=answer["summary"]
        )


STEPS: dict[str, Callable[[Progress, Mapping[str, Any]], Events]] = {
    "open": Progress._opened,
    "open_back": Progress._opened,
    "plan": Progress._plan,
    "hold": Progress._hold,
    "change": Progress._change,
    "staged": Progress._staged,
    "changed": Progress._changed,
    "judged": Progress._judged,
    "kept": Progress._kept,
    "back": Progress._back,
    "finish": Progress._finished,
}


def _why(heard: Heard) -> str:
    if heard.outcome == UNREACHABLE:
        return trouble({**heard.result, "unreachable": True})
    return first_line(heard.result.get("msg"))
