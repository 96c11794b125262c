"""A rollout that may not start, and one that is planned."""

from __future__ import annotations

import json

import pytest
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.planner import request
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.planner.errors import RolloutError
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.planner.table import table
from hypothesis import given, settings

from tests.plugins.looks import UNREACHABLE, look
from tests.plugins.planner.fleets import NOON, STAGES, fleet, planned
from tests.plugins.planner.test_selection import fleets, seeds

THREE = fleet(3)


def refused(hosts=THREE, **asked):
    (reason,) = planned(hosts, **asked).refusals
    return reason


# --- who takes part


def test_host_without_contact_refuses_the_rollout():
    reason = refused(seen={"h00000": UNREACHABLE})
    assert "1 host cannot take part" in reason
    assert "h00000: no contact" in reason
    assert "-e allow_missing=1" in reason


def test_host_that_was_not_seen_at_all_is_missing():
    assert "h00002: nothing was heard from it" in refused(seen={"h00002": None})


def test_host_without_a_release_is_missing():
    reason = refused(seen={"h00001": look(releases__current=None)})
    assert "no release is current there: run playbooks/deploy.yml" in reason


def test_missing_hosts_are_left_out_when_allowed():
    plan = planned(THREE, seen={"h00000": UNREACHABLE}, allow_missing="1")
    assert sorted(plan.ready) == ["h00001", "h00002"]
    assert list(plan.missing) == ["h00000"]
    assert plan.refusals == ()


def test_nobody_left_is_refused_with_the_reasons():
    with pytest.raises(RolloutError, match=r"no host can take part(.|\n)*h00001: no contact"):
        planned(THREE, seen=dict.fromkeys(["h00000", "h00001", "h00002"], UNREACHABLE))


# --- classes that nobody goes before


def test_class_that_is_seen_after_a_quarter_refuses_the_rollout():
    reason = refused(fleet(100), waves=[50, 100], accept_blind=None)
    assert reason.startswith("class c0 (100 hosts) is first seen in wave 1, at 50 of 100 hosts;")
    assert "allowed is up to 25 (25 %)" in reason
    assert "-e accept_blind=c0 or all" in reason


@pytest.mark.parametrize("accepted", ["all", "c0", "['c0']", ["c0"], "c0, c1"])
def test_acknowledged_class_goes_on(accepted):
    hosts = fleet(100, classes=2)[::2] + fleet(101, classes=2)[101:]
    plan = planned([*hosts, fleet(2, classes=2)[1]], waves=[50, 100], accept_blind=accepted)
    assert plan.refusals == ()


def test_acknowledging_one_class_is_none_of_another():
    reason = refused(fleet(100, classes=2), waves=[50, 100], accept_blind="c0")
    assert reason.startswith("class c1 (50 hosts)")


def test_misspelt_class_is_refused():
    with pytest.raises(RolloutError, match="accept_blind: c7 is no class .* allowed are all, c0"):
        planned(fleet(100), accept_blind="c7")


def test_class_of_one_host_needs_no_canary():
    assert planned(fleet(40, classes=40), accept_blind=None).refusals == ()


@pytest.mark.parametrize(("count", "classes"), [(1, 1), (4, 3), (6, 3), (12, 4), (19, 5)])
def test_small_fleet_needs_a_canary_before_its_last_wave_only(count, classes):
    assert planned(fleet(count, classes=classes), accept_blind=None).refusals == ()
    if count > classes:
        assert "a wave before the last" in refused(fleet(6), waves=[100], accept_blind=None)


# --- change windows


def windows(text, hosts=THREE):
    return {host.name: {"tcmicro_change_windows": text} for host in hosts}


def test_closed_change_window_refuses_the_rollout():
    reason = refused(extra=windows("Mon-Fri 14:00-16:00 Europe/Berlin"))
    assert reason == (
        "3 hosts (h00000, h00001, h00002): 2026-12-01 12:00 UTC is outside of the change windows"
        " Mon-Fri 14:00-16:00 Europe/Berlin; the next opens Tue 2026-12-01 14:00 CET."
        " To go on all the same: -e now=true"
    )


@pytest.mark.parametrize("now", [True, "true", "2026-12-01T14:30+01:00"])
def test_now_goes_on_outside_of_the_change_windows(now):
    assert (
        planned(THREE, extra=windows("Mon-Fri 14:00-16:00 Europe/Berlin"), now=now).refusals == ()
    )


def test_one_open_window_is_enough_and_hosts_have_their_own():
    own = windows(["01:00-02:00", "11:00-13:00"]) | windows("12:30-13:00", THREE[:1])
    assert "1 host (h00000)" in refused(extra=own)


def test_senseless_window_names_a_host():
    with pytest.raises(RolloutError, match=r"h00000: tcmicro_change_windows\[0\]: 'noon' is no"):
        planned(THREE, extra=windows("noon"))


# --- all at once, and the document


def test_all_reasons_are_said_together():
    hosts = fleet(100)
    extra = windows("01:00-02:00", hosts)
    asked = {"waves": [50, 100], "accept_blind": None}
    assert len(planned(hosts, seen={"h00000": UNREACHABLE}, extra=extra, **asked).refusals) == 3


@settings(max_examples=50)
@given(fleets, seeds)
def test_document_agrees_with_itself(hosts, seed):
    plan = planned(hosts, seed=seed)
    document = json.loads(json.dumps(plan.document()))
    waves = [wave["hosts"] for wave in document["waves"]]
    assert document["fleet"] == len(hosts) == waves_end(document)
    assert [host for wave in waves for host in wave] == plan.ready
    assert plan.wave_of() == {host: n for n, wave in enumerate(waves, 1) for host in wave}
    assert document["holdback"] in ([], waves[-1])
    assert sum(entry["hosts"] for entry in document["coverage"]) == len(hosts)
    assert document["seed"] == seed


def waves_end(document):
    return document["waves"][-1]["exposure"]


@settings(max_examples=30)
@given(fleets, seeds)
def test_order_of_the_hosts_says_nothing(hosts, seed):
    assert planned(hosts, seed=seed) == planned(hosts[::-1], seed=seed)


def test_document_has_what_is_promised():
    document = planned(fleet(20, classes=2, domains=4)).document()
    assert document["apiVersion"] == "tcmicro/v1"
    assert document["kind"] == "RolloutPlan"
    assert document["stages"] == ["5 %", "25 %", "50 %", "100 %"]
    assert set(document["waves"][0]) == {"number", "stage", "hosts", "controls", "exposure"}
    assert document["coverage"][0] == {"class": "c0", "hosts": 10, "first_wave": 1}


def test_table_names_hosts_classes_domains_controls_and_what_is_not_seen():
    lines = table(
        planned(fleet(20, classes=2, domains=4), seen={"h00003": UNREACHABLE}), "0.1.1", 10
    )
    assert lines[0] == "release 0.1.1: 19 hosts in 4 waves, 10 s of bake each, seed 7"
    assert lines[1].startswith("wave 1: h000")
    assert lines[2] == "    stage 5 %: 3 hosts; exposure afterwards 3 of 19 (15 %)"
    assert lines[3].startswith("    classes c")
    assert lines[4].startswith("    failure domains s")
    assert lines[5].startswith("    controls 16: h000")
    assert any(line.startswith("cannot detect: after wave 1, 3 clean hosts") for line in lines)
    assert any(line.startswith("left out: h00003: no contact") for line in lines)
    assert lines[-1].startswith("refused: 1 host cannot take part")


def test_table_of_a_large_fleet_stays_short():
    lines = table(planned(fleet(2000, classes=30, domains=100, groups=2)), "0.1.1", 10)
    assert "and 80 more" in lines[1]
    assert len(lines) < 100
    assert max(map(len, lines)) < 1000


# --- what was asked


def asked(**changed):
    args = {"release": "0.1.1", "hosts": ["a"], "waves": STAGES, "allow_missing": 0}
    return request.read(args | {"accept_blind": None, "seed": None, "now": None} | changed, NOON)


def test_seed_is_one_of_the_release_unless_given():
    assert asked().seed == asked().seed != asked(release="0.1.2").seed
    assert asked(seed="12").seed == 12


@pytest.mark.parametrize(
    ("option", "value"), [("seed", "x"), ("seed", -1), ("allow_missing", "1.5"), ("seed", "١")]
)
def test_senseless_numbers_are_refused(option, value):
    with pytest.raises(RolloutError, match=f"{option}: .* whole number from 0"):
        asked(**{option: value})


@pytest.mark.parametrize("value", [7, {"a": 1}, [7]])
def test_senseless_acknowledgements_are_refused(value):
    with pytest.raises(RolloutError, match="accept_blind: .* allowed is all or classes"):
        asked(accept_blind=value)


@pytest.mark.parametrize("waves", [[0, 100], [-5, 100], [120], "some", None])
def test_senseless_stages_are_refused_before_anything_else(waves):
    with pytest.raises(RolloutError, match="waves"):
        asked(waves=waves)


@pytest.mark.parametrize(("value", "number"), [(10, 10), ("10", 10), (0, 0)])
def test_numbers_may_come_as_text(value, number):
    assert request.whole_number("bake", value, least=0) == number


@pytest.mark.parametrize("value", ["soon", -1, "-1", 1.5, True, None, ""])
def test_other_values_are_refused(value):
    with pytest.raises(RolloutError, match="bake: .* whole number from 0"):
        request.whole_number("bake", value, least=0)
