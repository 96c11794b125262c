"""The record: what was written is read back, and nothing is removed on the word of a strange one."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from tcmicro_lab import record
from tcmicro_lab.model import Act, Kind, LabError
from tcmicro_lab.plan import plan

WHERE = Path("/checkout/.lab/lab.json")


def test_record_reads_back_as_the_lab(wanted):
    lab = plan(wanted(40))
    assert record.parse(record.dump(lab), WHERE) == lab


@pytest.mark.parametrize(
    "act",
    [
        Act(Kind.OVERLAY, "/home/somebody"),
        Act(Kind.OVERLAY, "/checkout/.lab/../src"),
        Act(Kind.CGROUP, "system.slice"),
        Act(Kind.NETWORK, "tcm-another"),
        Act(Kind.FILE, "/etc/passwd"),
    ],
    ids=str,
)
def test_a_record_that_names_what_is_not_the_labs_is_refused(wanted, act):
    with pytest.raises(LabError, match="not this lab's"):
        record.parse(record.dump(replace(plan(wanted()), acts=(act,))), WHERE)


def test_a_moved_record_is_refused(wanted):
    with pytest.raises(LabError, match="moved or copied"):
        record.parse(record.dump(plan(wanted())), Path("/elsewhere/.lab/lab.json"))


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"schema": 1}'])
def test_what_is_no_record_is_refused(text):
    with pytest.raises(LabError, match="not a lab record"):
        record.parse(text, WHERE)


def test_a_record_of_another_schema_is_refused(wanted):
    document = json.loads(record.dump(plan(wanted()))) | {"schema": 2}
    with pytest.raises(LabError, match="schema is 2, this version reads 1"):
        record.parse(json.dumps(document), WHERE)


def test_no_record_is_no_lab(tmp_path):
    assert record.read(tmp_path) is None


def test_a_held_lock_is_waited_for_and_then_named(tmp_path):
    with (
        record.lock(tmp_path, wait=0),
        pytest.raises(LabError, match="another lab command still runs"),
        record.lock(tmp_path, wait=0),
    ):
        pass
