"""Each thing that can be wrong is found alone, with what to do about it."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace

import pytest

from tcmicro_agent.diagnosis import EARLIEST, Facts, healthy, judge

STATUS = {
    "release": "1.0.0",
    "agent": {"running": True, "pid": 7, "release": "1.0.0", "enforcing_problem": None},
    "datapath": {
        "loaded": True,
        "hook": "tcx",
        "interfaces": [{"name": "eth0", "ingress": True, "egress": True}],
        "unguarded": [],
    },
    "policy": {
        "state": "committed",
        "generation": 3,
        "mode": "protect",
        "rules": 4,
        "digest": "ab",
    },
    "transaction": None,
    "syn_flood": {"listeners": 0, "sources": 0},
    "drift": [],
}
UNIT = {
    "LoadState": "loaded",
    "ActiveState": "active",
    "UnitFileState": "enabled",
    "NRestarts": "0",
}
WELL = Facts(
    status=STATUS,
    unit=UNIT,
    pressure={"tcm_tcp4": (10, 1000)},
    events={"sent": 5, "summed": 0, "unsummed": 0},
    failsafe=1,
    failsafe_wanted=1,
    keys=("fleet",),
    floor=3,
    wall_s=EARLIEST + 1,
    synchronised=True,
    log=(),
)


def status(**parts) -> dict:
    found = deepcopy(STATUS)
    for name, value in parts.items():
        found[name] = {**found[name], **value} if isinstance(value, dict) and found[name] else value
    return found


def test_of_a_healthy_host_nothing_is_said_but_ok():
    found = judge(WELL)
    assert {finding.level for finding in found} == {"ok"}
    assert all(not finding.hint for finding in found)
    assert healthy(found)


PENDING = {"id": "t", "state": "pending", "generation": 4, "deadline_in_s": 9.0}
CASES = {
    "agent": (status(agent={"running": False}), {}, "fail"),
    "release": (status(agent={"release": "0.9.0"}), {}, "warn"),
    "service": (STATUS, {"unit": {**UNIT, "ActiveState": "failed"}}, "fail"),
    "service, not at boot": (STATUS, {"unit": {**UNIT, "UnitFileState": "disabled"}}, "fail"),
    "service, restarts": (STATUS, {"unit": {**UNIT, "NRestarts": "9"}}, "warn"),
    "service, gone": (STATUS, {"unit": {"LoadState": "not-found"}}, "fail"),
    "datapath": (status(datapath={"loaded": False}), {}, "fail"),
    "datapath, no interface": (status(datapath={"interfaces": []}), {}, "fail"),
    "interface": (status(datapath={"unguarded": [{"name": "x", "reason": "y"}]}), {}, "warn"),
    "drift": (status(drift=["eth0: no program of ours on ingress"]), {}, "fail"),
    "drift, local": (status(drift=["local rule a (deny ingress): ends in 5 s"]), {}, "warn"),
    "drift, overdue": (status(drift=["local rule a (deny): should have ended"]), {}, "fail"),
    "enforcing": (status(agent={"enforcing_problem": "wrong_answer: x"}), {}, "fail"),
    "policy": (status(policy={"state": "none"}), {}, "warn"),
    "transaction": (status(transaction=PENDING), {}, "warn"),
    "failsafe": (STATUS, {"failsafe": 0, "failsafe_wanted": 0}, "warn"),
    "failsafe, missing": (STATUS, {"failsafe": 0}, "fail"),
    "room": (STATUS, {"pressure": {"tcm_tcp4": (85, 100)}}, "warn"),
    "room, full": (STATUS, {"pressure": {"tcm_rules": (99, 100)}}, "fail"),
    "events": (STATUS, {"events": {"sent": 1, "summed": 1, "unsummed": 2}}, "warn"),
    "SYN flood": (status(syn_flood={"listeners": 1}), {}, "warn"),
    "signatures": (STATUS, {"keys": ()}, "fail"),
    "signatures, none needed": (STATUS, {"allow_unsigned": True}, "warn"),
    "clock": (STATUS, {"wall_s": 0}, "fail"),
    "clock, free": (STATUS, {"synchronised": False}, "warn"),
    "log": (STATUS, {"log": ("an error",)}, "warn"),
}


@pytest.mark.parametrize("name", CASES)
def test_a_fault_is_found_alone_and_has_a_hint(name):
    said, parts, level = CASES[name]
    found = judge(replace(WELL, status=said, **parts))
    [fault] = [finding for finding in found if finding.level != "ok"]
    assert (fault.check, fault.level) == (name.partition(",")[0], level)
    assert fault.hint
    assert healthy(found) == (level != "fail")


def test_what_nobody_can_say_is_no_fault():
    unknown = replace(WELL, unit=None, synchronised=None, log=None)
    assert healthy(judge(unknown))


def test_a_release_that_waits_is_told():
    pending = {"version": "2.0.0", "state": "pending", "deadline_in_s": 10.0}
    [found] = [f for f in judge(replace(WELL, release_pending=pending)) if f.level == "warn"]
    assert found.check == "release"
