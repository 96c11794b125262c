"""Events as journald gets them, by its native protocol over a socket, and as text where there is no journal."""

from __future__ import annotations

import io
import json
import os
import shutil
import socket
import subprocess
from pathlib import Path

import pytest

from tcmicro_agent import messages
from tcmicro_agent.journal import LONGEST, Journal, datagram, is_journal, line

JOURNALD = Path("/lib/systemd/systemd-journald")
EVENT = messages.PUT_BACK(interface="eth0", directions="ingress and egress")


def stream_of(path: Path) -> tuple[io.TextIOWrapper, dict[str, str]]:
    """A file, and an environment in which systemd says that it is the journal."""
    stream = path.open("w+")
    found = os.fstat(stream.fileno())
    return stream, {"JOURNAL_STREAM": f"{found.st_dev}:{found.st_ino}"}


@pytest.fixture
def journald(tmp_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.bind(str(tmp_path / "socket"))
        channel.settimeout(5)
        yield channel


def fields(content: bytes) -> dict[str, str]:
    """A datagram as journald reads it: a field a line."""
    pairs = [entry.partition("=") for entry in content.decode().splitlines()]
    assert all(equals for _, equals, _ in pairs), content
    return {name: value for name, _, value in pairs}


def test_an_event_reaches_journald_with_its_fields(journald, tmp_path):
    stream, environment = stream_of(tmp_path / "stderr")
    journal = Journal(stream, environment, tmp_path / "socket")
    journal.say(EVENT)
    assert fields(journald.recv(65536)) == {
        "MESSAGE": "eth0: our program was gone from ingress and egress, put back",
        "MESSAGE_ID": messages.PUT_BACK.id,
        "PRIORITY": "4",
        "SYSLOG_IDENTIFIER": "tc-micro",
        "TCMICRO_CODE": "TCMA0302",
        "TCMICRO_INTERFACE": "eth0",
        "TCMICRO_DIRECTIONS": "ingress and egress",
    }
    assert (tmp_path / "stderr").read_text() == ""
    assert journal.counts == {"TCMA0302": 1}


def test_without_a_journal_it_is_a_line_of_text(tmp_path):
    stream = io.StringIO()
    Journal(stream, {}, tmp_path / "socket").say(EVENT)
    assert stream.getvalue() == f"WARNING TCMA0302 {EVENT}\n"


def test_a_journal_that_is_gone_is_no_reason_to_say_nothing(tmp_path):
    stream, environment = stream_of(tmp_path / "stderr")
    Journal(stream, environment, tmp_path / "nothing").say(EVENT)
    assert (tmp_path / "stderr").read_text() == f"WARNING TCMA0302 {EVENT}\n"


def test_a_stderr_that_was_sent_elsewhere_is_no_journal(tmp_path):
    stream, environment = stream_of(tmp_path / "stderr")
    other, _ = stream_of(tmp_path / "elsewhere")
    assert is_journal(stream, environment)
    assert not is_journal(other, environment)
    assert not is_journal(io.StringIO(), environment)


def test_an_event_is_one_line_whatever_its_problem_says():
    problem = 'agent.json: 2 problems\n  mode: "x"\n\x1b[2J\x00PRIORITY=0'
    event = messages.CONFIG_REFUSED(problem=problem)
    assert line(event).count("\n") == 0
    assert "\x1b" not in line(event)
    found = fields(datagram(event))
    assert found["PRIORITY"] == "3"
    assert found["TCMICRO_PROBLEM"].startswith('agent.json: 2 problems |   mode: "x" | ?[2J?')


def test_what_is_too_long_is_cut():
    found = fields(datagram(messages.UPKEEP_FAILED(problem="x" * 100_000)))
    assert len(found["MESSAGE"]) == len(found["TCMICRO_PROBLEM"]) == LONGEST


# A journald of our own below a /run of our own, which nobody else sees.
OWN_JOURNALD = """
set -e
mount -t tmpfs tmpfs /run
mkdir -p /run/systemd/journal
{journald} & number=$!
for _ in $(seq 100); do [[ -S /run/systemd/journal/socket ]] && break; sleep 0.1; done
exec 2>{stderr}
JOURNAL_STREAM=$(stat -Lc %d:%i /dev/fd/2) {python} -c '
from tcmicro_agent import messages
from tcmicro_agent.journal import Journal
Journal().say(messages.PUT_BACK(interface="eth0", directions="ingress and egress"))'
for _ in $(seq 100); do
    journalctl -q -o json -D /run/log/journal MESSAGE_ID={id} >{found} 2>/dev/null || true
    [[ -s {found} ]] && break
    sleep 0.1
done
kill $number
wait $number || true
"""


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="starts a journald of its own: needs root")
@pytest.mark.skipif(
    not JOURNALD.exists() or not shutil.which("journalctl"), reason="no systemd-journald here"
)
def test_journald_itself_finds_it_by_its_message_id(tmp_path):
    found, root = tmp_path / "found.json", Path(__file__).resolve().parents[3]
    script = OWN_JOURNALD.format(
        journald=JOURNALD,
        stderr=tmp_path / "stderr",
        python=root / ".venv/bin/python",
        id=messages.PUT_BACK.id,
        found=found,
    )
    argv = ["unshare", "--mount", "bash", "-c", script]
    done = subprocess.run(argv, cwd=root, capture_output=True, text=True, timeout=60, check=False)
    assert found.exists(), (done, (tmp_path / "stderr").read_text())
    entry = json.loads(found.read_text())
    assert entry["MESSAGE"] == EVENT
    assert entry["TCMICRO_CODE"] == "TCMA0302"
    assert entry["TCMICRO_INTERFACE"] == "eth0"
    assert entry["PRIORITY"] == "4"
    assert entry["_TRANSPORT"] == "journal"
