"""Waves judged by what a real Prometheus recorded of their hosts; and while it is gone, none passes."""

from __future__ import annotations

from pathlib import Path

from tests.rollout.fleet import NEW, OLD
from tests.rollout.prometheus import Prometheus
from tests.rollout.test_gates import verdicts

GATES = Path(__file__).with_name("gates.yml")
SAMPLES = 75  # one a second; gates want to know a minute before the change


def words(prometheus):
    """A rollout by the gates of these tests, with numbers from the server alone: hosts record none."""
    given = {"tcmicro_gate_file": GATES, "bake": 6, "tcmicro_gate_prometheus_url": prometheus.url}
    return [word for name, value in given.items() for word in ("-e", f"{name}={value}")]


def judged(**denies):
    def scenario(fleet):
        with Prometheus(fleet, **denies) as prometheus:
            prometheus.until_recorded(SAMPLES)
            return fleet.canary(*words(prometheus))

    return scenario


def dies(fleet):
    """The server is killed once hosts of the first wave have been changed."""
    with Prometheus(fleet) as prometheus:
        prometheus.until_recorded(SAMPLES)
        process = fleet.start(
            "canary", "-e", f"release={NEW}", "-e", "waves=[50,100]", *words(prometheus)
        )
        fleet.until(lambda: any(fleet.applies().values()), process)
        prometheus.kill()
        return fleet.wait(process)


SCENARIOS = {"well": judged(), "worse": judged(h1=9, h2=9), "dies": dies}


def test_wave_that_does_as_its_controls_passes(after):
    fleet, outcome = after("well")
    assert outcome.code == 0, outcome.output
    assert fleet.releases() == dict.fromkeys(fleet.hosts, NEW)
    [line] = verdicts(fleet)[0][1]["series"]
    assert sorted(line["canaries"]) == ["h1", "h2"], "judged by what the server recorded"
    assert sorted(line["controls"]) == ["h3", "h4"]


def test_wave_that_is_worse_than_its_controls_goes_back(after):
    fleet, outcome = after("worse")
    assert outcome.code == 2
    assert outcome.says("times more than on the controls")
    assert fleet.touched() == ["h1", "h2"]
    assert fleet.releases() == dict.fromkeys(fleet.hosts, OLD)


def test_server_that_dies_in_the_middle_pauses_the_rollout_and_then_ends_it(after):
    fleet, outcome = after("dies")
    assert outcome.code == 2
    found = verdicts(fleet)
    assert [wave for wave, _ in found] == [1, 1], "it bakes once more, and no wave follows"
    assert {verdict["outcome"] for _, verdict in found} == {"error"}
    assert outcome.says("prometheus at 127.0.0.1")
    assert fleet.touched() == ["h1", "h2"]
    assert fleet.releases() == dict.fromkeys(fleet.hosts, OLD)
