"""The demo's own judgement: when a step counts as shown, and what its report says."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest
from rich.console import Console

from tools.demo import report
from tools.demo.journey import Journey
from tools.demo.lab import Lab
from tools.demo.playbook import Outcome, Playbooks, Run
from tools.demo.progress import Progress
from tools.demo.scene import Scene, Step
from tools.demo.traffic import Flow, Traffic

RECAP = """\
PLAY RECAP *********************************************************************
web1                       : ok=3    changed=1    unreachable=0    failed=0    skipped=0
db1                        : ok=1    changed=0    unreachable=1    failed=0    skipped=0
"""


@pytest.fixture
def screen():
    return io.StringIO()


@pytest.fixture
def scene(tmp_path):
    lab = Lab(tmp_path)
    plays = Playbooks(tmp_path, tmp_path / "logs", lambda _: None)
    return Scene(tmp_path, lab, plays, Traffic(lab), lambda _: None)


def journey_of(scene, screen, *acts):
    steps = [Step(number, f"step {number}", "shows", act) for number, act in enumerate(acts, 1)]
    return Journey(scene, Progress(Console(file=screen)), steps)


def shows(scene):
    scene.expect("a claim", "evidence", holds=True)


def fails(scene):
    scene.expect("a claim", "the contrary", holds=False)


def test_step_that_fails_ends_the_journey(scene, screen):
    journey = journey_of(scene, screen, shows, fails, shows)
    journey.reach(3)
    assert [result.verdict for result in journey.all_results()] == ["ok", "failed", "not run"]
    assert journey.results[1].fault == "not so: a claim: the contrary"


def test_interrupted_step_counts_as_failed(scene, screen):
    def interrupt(_):
        raise KeyboardInterrupt

    journey = journey_of(scene, screen, interrupt)
    with pytest.raises(KeyboardInterrupt):
        journey.reach(1)
    assert [result.verdict for result in journey.results] == ["failed"]


def test_steps_are_taken_once(scene, screen):
    journey = journey_of(scene, screen, shows, shows)
    journey.reach(2)
    assert journey.reach(1) == journey.reach(2)
    assert [result.evidence for result in journey.results] == [("a claim: evidence",)] * 2


def test_screen_has_a_line_per_event_and_no_escapes(scene, screen):
    journey = journey_of(scene, screen, shows)
    journey.scene.say = journey.progress.say
    journey.reach(1)
    assert "1/1 step 1" in screen.getvalue()
    assert "a claim: evidence" in screen.getvalue()
    assert "\x1b" not in screen.getvalue()


def test_report_names_result_evidence_and_fault(scene, screen, tmp_path):
    journey = journey_of(scene, screen, shows, fails)
    journey.reach(2)
    text = report.write(journey.all_results(), tmp_path).read_text()
    assert text.startswith("# tcmicro demo: failed")
    assert "- a claim: evidence" in text
    assert "not so: a claim: the contrary" in text
    assert (tmp_path / "demo-report.json").is_file()


def test_recap_is_read_per_host():
    outcome = Outcome(4, f"TASK [x]\n{RECAP}", Path("log"))
    assert outcome.recap["web1"]["changed"] == 1
    assert outcome.total("unreachable") == 1


@pytest.mark.parametrize(
    ("flow", "intact"),
    [
        (Flow(64, 64, 0, 5, ""), True),
        (Flow(128, 64, 0, 5, ""), False),
        (Flow(64, 64, 1, 5, ""), False),
        (Flow(0, 0, 0, 0, ""), False),
        (Flow(64, 64, 0, 5, "connection reset"), False),
    ],
    ids=["whole", "lost", "wrong", "silent", "broken"],
)
def test_flow_is_intact_only_when_every_byte_came_back(flow, intact):
    assert flow.intact is intact


def test_run_is_killed_with_its_whole_group(tmp_path):
    script = (
        "import subprocess, sys; print('TASK [Wait]', flush=True); subprocess.run(['sleep', '60'])"
    )
    run = Run([sys.executable, "-u", "-c", script], tmp_path / "log", lambda _: None)
    assert run.reached("TASK [Wait]")
    run.kill()
    assert run.wait().code == -9


def test_inventory_is_read_with_nested_groups(tmp_path):
    folder = tmp_path / "inventories" / "lab"
    folder.mkdir(parents=True)
    (folder / "hosts.yml").write_text(
        "tcmicro:\n  children:\n    web:\n      hosts:\n        web1: {ansible_host: 10.77.0.11}\n"
    )
    lab = Lab(tmp_path)
    assert (lab.hosts(), lab.members("web"), lab.address("web1")) == (
        ["web1"],
        ["web1"],
        "10.77.0.11",
    )


def test_rollouts_of_each_run_have_a_journal_of_their_own(tmp_path):
    """What an earlier run denied would be refused in a later one."""
    (tmp_path / ".venv/bin").mkdir(parents=True)
    program = tmp_path / ".venv/bin/ansible-playbook"
    program.write_text("#!/bin/sh\necho $*\n")
    program.chmod(0o755)
    plays = Playbooks(tmp_path, tmp_path / "logs", lambda _: None)
    said = plays.run("canary", "-e", "release=1").output
    assert f"-e release=1 -e tcmicro_rollouts_dir={tmp_path}/logs/rollouts-2" in said
