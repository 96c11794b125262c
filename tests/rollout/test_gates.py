"""A wave is judged by what its hosts and their controls recorded, and what must hold is looked at while it bakes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.rollout.fleet import CANARY, NEW, OLD

GATES = ("-e", f"tcmicro_gate_file={Path(__file__).with_name('gates.yml')}", "-e", "bake=4")


def recorded(**faults):
    """Every host records samples; some do something else besides."""

    def scenario(fleet):
        for host in fleet.hosts:
            fleet.script(host, **{"samples": "all", **faults.get(host, {})})
        return fleet.canary(*GATES)

    return scenario


BROKEN = """\
apiVersion: tcmicro/v1
kind: Gates
invariants: [restarts, sunshine]
colour: blue
comparison:
  before_s: 100
  needs_s: 1
  looks: [0.6, 0.8, 1]
  fail_below: 0.17
  suspect_below: 0.18
  extended_fail_below: 0.2
  outliers: {fail_below: 0.0005, suspect_below: 0.02, extended_fail_below: 0.0015, min_effect: 1.5, min_controls: 10}
metrics:
  - {name: denied, level: L7, kind: rate, values: [denied], min_effect: 1.15}
"""


def judged_by(text, *words, playbook="canary"):
    """A gate file of that text, None for none."""

    def scenario(fleet):
        return fleet.run(playbook, *CANARY, *gate_file(fleet, text), *words)

    return scenario


def gate_file(fleet, text):
    named = fleet.folder / "gates.yml"
    if text is not None:
        named.write_text(text)
    return "-e", f"tcmicro_gate_file={named}"


def gone_on_with(fleet):
    """The controller died when the first wave was to be changed."""
    fleet.canary(FAKE_CUT="after 4")
    words = gate_file(fleet, BROKEN)
    return fleet.run("canary", "-e", f"rollout={fleet.rollout()}", *words)


SCENARIOS = {
    "early looks": lambda fleet: fleet.canary(
        *("-e", "bake=30", "-e", "waves=[100]", "-e", "accept_blind=all")
    ),
    "well": recorded(),
    "worse": recorded(h1={"denies": 9}, h2={"denies": 9}),
    "silent": recorded(h1={"samples": "none"}),
    "broken": judged_by(BROKEN, "-e", "seed=x", "-e", "waves=[120]"),
    "planned by broken": judged_by(BROKEN, playbook="plan"),
    "missing": judged_by(None),
    "no YAML": judged_by("metrics: [\n"),
    "gone on with": gone_on_with,
}


FAULTS = (
    "gates.yml:3:24: error TCM",
    'invariants: "sunshine" is not one of restarts, well',
    'unknown key "colour"',
    'level: "L7" is not one of L1, L2, L3, L4',
)


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


@pytest.mark.parametrize("name", ["broken", "planned by broken", "gone on with"])
def test_faults_of_a_gate_file_are_told_at_once_before_any_host_is_looked_at(after, name):
    fleet, outcome = after(name)
    assert outcome.code == 2
    assert [text for text in FAULTS if not outcome.says(text)] == []
    assert not any(fleet.calls(host) for host in fleet.hosts if name != "gone on with")
    assert fleet.touched() == []
    assert fleet.releases() == dict.fromkeys(fleet.hosts, OLD)


def test_faults_of_the_request_are_told_with_those_of_the_gate_file(after):
    _, outcome = after("broken")
    assert outcome.says("seed: 'x' is not allowed")
    assert outcome.says("waves")


@pytest.mark.parametrize(
    ("name", "says"), [("missing", "No such file or directory"), ("no YAML", "gates.yml:")]
)
def test_gate_file_that_cannot_be_read_is_refused(after, name, says):
    fleet, outcome = after(name)
    assert outcome.code == 2
    assert outcome.says(says)
    assert not any(fleet.calls(host) for host in fleet.hosts)
    assert fleet.journal("SELECT count(*) FROM rollouts") == [(0,)]
