"""People hold, approve and abort a rollout from a second terminal, while the real playbook runs."""

from __future__ import annotations

import json
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from tests.rollout.fleet import CANARY, NEW, OLD, ROOT


def tc_micro(fleet, *words: str) -> subprocess.CompletedProcess:
    """With the real collection: it finds the journal that its copy among the fakes wrote."""
    return subprocess.run(
        [str(ROOT / ".venv/bin/tc-micro"), "rollout", *words, "--dir", str(fleet.rollouts)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def held(fleet):
    return lambda: "held: wave 2 waits for approval" in (fleet.folder / "log").read_text()


def start(fleet, *words: str):
    process = fleet.start("canary", *CANARY, "-e", "approve=[2]", *words)
    fleet.until(held(fleet), process)
    return process


def test_a_wave_waits_until_it_is_approved(fleet):
    process = start(fleet)
    assert len(fleet.touched()) == 2  # the first wave
    assert tc_micro(fleet, "approve", "--wave", "1").returncode == 0
    assert process.poll() is None
    said = tc_micro(fleet, "approve", "--wave", "2", "--why", "looks well", "--json")
    assert json.loads(said.stdout)["said"].endswith(": looks well")
    outcome = fleet.wait(process)
    assert outcome.code == 0
    assert set(fleet.releases().values()) == {NEW}


def test_abort_takes_everybody_back_and_blames_nobody(fleet):
    process = start(fleet)
    assert tc_micro(fleet, "abort", "--why", "incident 4711").returncode == 0
    outcome = fleet.wait(process)
    assert outcome.code != 0
    assert set(fleet.releases().values()) == {OLD}
    assert len(fleet.touched()) == 2  # the first wave
    assert fleet.journal("SELECT count(*) FROM denied") == [(0,)]
    shown = tc_micro(fleet, "show")
    assert shown.returncode == 3
    assert "abort by" in shown.stdout.splitlines()[0]
    assert "incident 4711" in shown.stdout.splitlines()[0]


def test_pause_holds_and_resume_lets_go(fleet):
    process = start(fleet)
    tc_micro(fleet, "pause", "--why", "lunch")
    tc_micro(fleet, "approve")
    fleet.until(lambda: "held: pause by" in (fleet.folder / "log").read_text(), process)
    assert len(fleet.touched()) == 2  # the first wave
    tc_micro(fleet, "resume")
    assert fleet.wait(process).code == 0


def test_who_is_held_for_too_long_goes_back(fleet):
    outcome = fleet.wait(start(fleet, "-e", "hold_patience_s=2"))
    assert outcome.code != 0
    assert outcome.says("nobody let it go on within 2 s")
    assert set(fleet.releases().values()) == {OLD}


def test_nothing_can_be_said_to_a_rollout_that_is_over(fleet):
    assert fleet.canary().code == 0
    refused = tc_micro(fleet, "pause")
    assert refused.returncode == 3
    assert "is done" in refused.stderr
    assert tc_micro(fleet, "show", "nobody").returncode == 3
    listed = json.loads(tc_micro(fleet, "list", "--json").stdout)["rollouts"]
    assert [row["state"] for row in listed] == ["succeeded"]


def test_watch_tells_every_event_and_ends_with_the_rollout(fleet):
    assert fleet.canary().code == 0
    watched = tc_micro(fleet, "watch", "--json")
    kinds = [json.loads(line)["kind"] for line in watched.stdout.splitlines()]
    assert kinds[0] == "begin"
    assert kinds[-1] == "done"
    assert watched.returncode == 0


@pytest.fixture
def hook():
    """A web server that keeps what it is sent."""
    got = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):  # noqa: N802 - the name is the library's
            got.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/hook", got
    server.shutdown()
    thread.join()


def test_a_failed_rollout_is_reported_and_told(fleet, hook):
    address, got = hook
    fleet.down("h2")
    mailed = fleet.folder / "mailed"
    outcome = fleet.canary(
        *("-e", json.dumps({"allow_missing": 1})),
        *("-e", json.dumps({"tcmicro_notify_webhook": address})),
        *("-e", json.dumps({"tcmicro_notify_command": ["tee", str(mailed)]})),
    )
    assert outcome.code == 0
    [told] = got
    assert told["state"] == "succeeded"
    assert told["touched"] == ["h1", "h3", "h4"]
    folder = fleet.rollouts / fleet.rollout()
    assert {path.name for path in folder.iterdir()} == {
        *("report.md", "report.html", "junit.xml", "record.json")
    }
    assert mailed.read_text() == (folder / "report.md").read_text()
    assert "every wave passed" in mailed.read_text().splitlines()[0]


def test_a_hook_that_fails_changes_nothing_and_is_said(fleet):
    broken = {
        "tcmicro_notify_webhook": "http://127.0.0.1:1/secret-token",
        "tcmicro_notify_command": ["false"],
    }
    outcome = fleet.canary("-e", json.dumps(broken))
    assert outcome.code == 0
    assert outcome.says("the webhook was not reached")
    assert outcome.says("false ended with 1")
    assert "secret-token" not in outcome.output
    assert Path(fleet.rollouts / fleet.rollout() / "report.md").exists()
