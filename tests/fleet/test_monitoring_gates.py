"""Rollouts over the lab judged by what its own Prometheus recorded of the hosts; while it is gone, no wave passes."""

from __future__ import annotations

import json
import socket
import sqlite3
import subprocess
from contextlib import closing, contextmanager
from itertools import pairwise
from pathlib import Path
from urllib.parse import urlencode

import pytest
import yaml

from tests.fleet import monitor as place
from tests.fleet.monitor import until
from tools.demo.releases import FIRST, NEXT

pytestmark = pytest.mark.lab
GATES = Path(__file__).with_name("gates.yml")
BEFORE_S = yaml.safe_load(GATES.read_text())["comparison"]["before_s"]
DENIED = f"instance_value:tc_micro_sample:last{{value='denied_ingress'}}[{BEFORE_S}s]"
RECORDED = f"count_over_time({DENIED}) unless resets({DENIED}) > 0"
LAST = "SELECT id FROM rollouts ORDER BY created DESC LIMIT 1"
VERDICTS = "SELECT wave, document FROM verdicts WHERE rollout = ? ORDER BY id"
SAMPLES = 8  # one in ten seconds; gates want to know a minute on end before the change


@pytest.fixture(scope="module")
def server(play, monitor, scene):
    """The address on this machine of the lab's Prometheus, once it knows every host as long as gates ask."""
    outcome = play()
    assert outcome.code == 0, outcome.failure()
    query = f"{place.PROMETHEUS}/api/v1/query?{urlencode({'query': RECORDED})}"

    def counts():
        found = monitor.ask(query)["data"]["result"]
        return {row["metric"]["instance"]: int(row["value"][1]) for row in found}

    def known():
        found = counts()
        return set(found) == set(scene.lab.hosts()) and min(found.values()) >= SAMPLES

    until(known, lambda: f"samples recorded: {counts()}")
    with tunnel(scene.lab, 9090) as port:
        yield f"http://127.0.0.1:{port}"


@contextmanager
def tunnel(lab, there):
    """A port of this machine that leads to one of the monitoring host."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        here = free.getsockname()[1]
    way = ["-o", "ExitOnForwardFailure=yes", "-N", "-L", f"127.0.0.1:{here}:127.0.0.1:{there}"]
    process = subprocess.Popen(["ssh", "-F", str(lab.config), *way, place.HOST])
    try:
        until(lambda: opens(here), lambda: f"ssh to {place.HOST} opens no port {here}")
        yield here
    finally:
        process.terminate()
        process.wait()


def opens(port):
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture(scope="module")
def releases(scene, server):
    """What every host runs; afterwards what it ran before."""
    hosts = scene.lab.hosts()

    def look():
        return {host: scene.lab.agent(host, "status")["agent"]["release"] for host in hosts}

    before = look()
    yield look
    if look() != before:
        [release] = set(before.values())
        words = (
            "-e",
            f"tcmicro_agent_release={release}",
            "-e",
            "tcmicro_agent_change_release=true",
        )
        outcome = scene.plays.run("deploy", *place.INVENTORIES, *words)
        assert outcome.code == 0, outcome.failure()
    assert look() == before


@pytest.fixture
def start(server, scene, releases):
    """Begin a rollout in two waves of the release that hosts do not run; it, and that release."""

    def begin():
        [running] = set(releases().values())
        wanted = FIRST if running == NEXT else NEXT
        given = {
            "release": wanted,
            "waves": [50, 100],
            "bake": 30,
            "tcmicro_gate_file": str(GATES),
            "tcmicro_gate_prometheus_url": server,
        }
        return scene.plays.start("canary", *place.INVENTORIES, "-e", json.dumps(given)), wanted

    return begin


@pytest.fixture
def told(scene):
    """Of the last rollout every verdict with the number of its wave, and what was shown of each wave."""

    def look():
        journal = sqlite3.connect(scene.plays.rollouts / "journal.db")
        with closing(journal):
            [(rollout,)] = journal.execute(LAST)
            rows = journal.execute(VERDICTS, [rollout]).fetchall()
        record = json.loads((scene.plays.rollouts / rollout / "record.json").read_text())
        shown = {wave["number"]: wave["series"] for wave in record["waves"]}
        return [(wave, json.loads(document)) for wave, document in rows], shown

    return look


def test_waves_that_do_as_their_controls_pass(start, told, releases):
    run, wanted = start()
    outcome = run.wait()
    assert outcome.code == 0, outcome.failure()
    assert set(releases().values()) == {wanted}
    verdicts, series = told()
    assert [(wave, found["outcome"]) for wave, found in verdicts] == [(1, "pass"), (2, "pass")]
    [line] = series[1]
    assert (len(line["canaries"]), len(line["controls"])) == (3, 3)
    points = [*line["canaries"].values(), *line["controls"].values()]
    steps = {round(after[0] - before[0]) for one in points for before, after in pairwise(one)}
    assert steps == {10}, "they were not recorded by the server"


def test_server_that_is_stopped_in_a_bake_pauses_the_rollout_and_then_ends_it(
    start, told, releases, monitor
):
    before = releases()
    run, _ = start()
    assert run.reached("TASK [tcmicro_gate : Bake", within=240), "no wave was baked"
    monitor.do("systemctl stop prometheus")
    try:
        outcome = run.wait()
    finally:
        monitor.do("systemctl start prometheus")
    assert outcome.code == 2
    verdicts, _ = told()
    assert [wave for wave, _ in verdicts] == [1, 1], "it bakes once more, and no wave follows"
    assert {found["outcome"] for _, found in verdicts} == {"error"}
    assert "prometheus at 127.0.0.1" in " ".join(outcome.output.split())
    assert releases() == before
