"""A wave is judged by what its hosts and their controls recorded, and what must hold is looked at while it bakes."""

from __future__ import annotations

import json
from pathlib import Path

from tests.rollout.fleet import NEW, OLD

GATES = ("-e", f"tcmicro_gate_file={Path(__file__).with_name('gates.yml')}", "-e", "bake=4")


def recorded(**faults):
    """Every host records samples; some do something else besides."""

    def scenario(fleet):
        for host in fleet.hosts:
            fleet.script(host, **{"samples": "all", **faults.get(host, {})})
        return fleet.canary(*GATES)

    return scenario


SCENARIOS = {
    "early looks": lambda fleet: fleet.canary(
        *("-e", "bake=30", "-e", "waves=[100]", "-e", "accept_blind=all")
    ),
    "well": recorded(),
    "worse": recorded(h1={"denies": 9}, h2={"denies": 9}),
    "silent": recorded(h1={"samples": "none"}),
}


def verdicts(fleet):
    rows = fleet.journal("SELECT wave, document FROM verdicts ORDER BY id")
    return [(wave, json.loads(document)) for wave, document in rows]


def record(fleet):
    return json.loads((fleet.rollouts / fleet.rollout() / "record.json").read_text())


def test_a_bake_has_looks_of_its_own(after):
    _, outcome = after("early looks")
    assert outcome.code == 0, outcome.output
    assert "Look at the hosts while they bake" in outcome.output
    assert "not judged" in outcome.output


def test_wave_that_does_as_its_controls_passes(after):
    fleet, outcome = after("well")
    assert outcome.code == 0, outcome.output
    assert fleet.releases() == dict.fromkeys(fleet.hosts, NEW)
    assert outcome.says("denied packets: no controls")  # the last wave


def test_wave_that_is_worse_than_its_controls_goes_back(after):
    fleet, outcome = after("worse")
    assert outcome.code == 2
    assert outcome.says("denied packets: ")
    assert outcome.says("times more than on the controls")
    assert fleet.touched() == ["h1", "h2"]
    assert fleet.releases() == dict.fromkeys(fleet.hosts, OLD)
    assert fleet.journal("SELECT digest FROM denied") == [(fleet.digest,)]


def test_report_has_the_samples_around_the_change(after):
    fleet, _ = after("worse")
    wave = record(fleet)["waves"][0]
    [line] = wave["series"]
    assert (line["metric"], line["changed_at"]) == ("denied packets", 0)
    assert sorted(line["canaries"]) == ["h1", "h2"]
    assert sorted(line["controls"]) == ["h3", "h4"]
    points = line["canaries"]["h1"]
    assert points[0][0] < -30
    assert [round(points[0][1]), round(points[-1][1])] == [1, 10]
    assert {round(value) for _, value in line["controls"]["h3"]} == {1}
    assert "canary" in (fleet.rollouts / fleet.rollout() / "report.html").read_text()


def test_open_verdict_is_baked_for_longer_and_then_stops_the_rollout(after):
    fleet, outcome = after("silent")
    assert outcome.code == 2
    assert [(wave, said["outcome"]) for wave, said in verdicts(fleet)] == [(1, "inconclusive")] * 3
    assert outcome.says("silent while 2 of 2 controls report it")
    assert fleet.releases() == dict.fromkeys(fleet.hosts, OLD)
    assert fleet.journal("SELECT digest FROM denied") == []
