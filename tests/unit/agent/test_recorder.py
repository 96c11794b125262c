"""What the agent records: a line when one is due, two files at most, and nothing that a cut could break."""

from __future__ import annotations

import json
from ipaddress import ip_address

import pytest

from tcmicro_agent import abi, recorder
from tcmicro_agent.abi import Direction, SessionState, SessionTable
from tcmicro_agent.datapath import host
from tcmicro_agent.recorder import EVERY_S, LINES, STALE_S, Journal
from tcmicro_agent.sessions import Chunk, Timeouts, remotes, unanswered

NOW, PATIENCE = 10_000, 300
TIMEOUTS = Timeouts((6000, 6000, 6000, 6000, 6000), (3000, 6000))


def sample(t):
    return {"t": t, "boot_id": "b", "start": 1, "values": {"x": t}}


def test_samples_are_read_back_in_order_since_a_time(tmp_path):
    journal = Journal(tmp_path)
    for t in range(5):
        journal.append(sample(float(t)))
    assert [found["t"] for found in journal.read(2)] == [2, 3, 4]


def test_two_files_hold_the_youngest_and_no_more(tmp_path):
    journal = Journal(tmp_path)
    for t in range(3 * LINES + 5):
        journal.append(sample(t))
    found = [found["t"] for found in journal.read(0)]
    assert found == list(range(2 * LINES, 3 * LINES + 5))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["current", "previous"]


def test_next_process_goes_on_in_the_same_file(tmp_path):
    for t in range(LINES):
        Journal(tmp_path).append(sample(t))
    again = Journal(tmp_path)
    again.append(sample(LINES))
    assert len(again.read(0)) == LINES + 1
    assert len((tmp_path / "current").read_text().splitlines()) == 1


@pytest.mark.parametrize("rest", ['{"t": 3, "val', "\x00\x00", "[]", "{}"])
def test_line_that_was_cut_is_passed_over(tmp_path, rest):
    journal = Journal(tmp_path)
    journal.append(sample(1))
    with (tmp_path / "current").open("a") as handle:
        handle.write(rest + "\n")
    journal.append(sample(2))
    assert [found["t"] for found in journal.read(0)] == [1, 2]


def test_nothing_recorded_is_nothing_read(tmp_path):
    assert Journal(tmp_path / "absent").read(0) == []


def test_recorder_takes_a_sample_when_one_is_due(tmp_path, monkeypatch):
    monkeypatch.setattr(recorder, "datapath", lambda *_: {"packets": 7})
    monkeypatch.setattr(recorder, "directory", lambda _: tmp_path)

    class Agent:
        class clock:  # noqa: N801
            boot_id = staticmethod(lambda: "b")

    taken = recorder.Recorder(Agent, None, lambda: {"agent_faults": 2})
    for now in (0.0, 1.0, EVERY_S - 0.1, EVERY_S, EVERY_S + 1):
        taken.step(now)
    found = Journal(tmp_path).read(0)
    assert [one["t"] for one in found] == [0, EVERY_S]
    assert found[0]["values"]["packets"] == 7
    assert found[0]["values"]["agent_faults"] == 2
    assert found[0]["values"]["agent_rss_bytes"] > 10**6
    assert taken.latest(EVERY_S + STALE_S - 0.1) == found[1]["values"]
    assert taken.latest(EVERY_S + STALE_S) == {}  # none could be taken since


def chunk(*sessions, table=SessionTable.HALF4):
    """Sessions of (remote, protocol, state, opener, jiffies since it was seen, packets each way)."""
    keys, values = b"", b""
    for port, (remote, protocol, state, opener, age, packets) in enumerate(sessions):
        local, peer = (ip_address(a).packed for a in ("10.0.0.1", remote))
        keys += table.key.pack(local, peer, port.to_bytes(2, "big"), b"\0P", protocol)
        values += abi.SESSION.pack(1, 1, 0, opener, state, 0, 0, NOW - age, *packets, 0, 0)
    return Chunk(table, keys, values)


IN, OUT = Direction.INGRESS, Direction.EGRESS
OPENING, ANSWERED = SessionState.OPENING, SessionState.ANSWERED


@pytest.mark.parametrize(
    ("session", "counts"),
    [
        (("10.0.0.2", 6, OPENING, OUT, 400, (0, 1)), True),
        (("10.0.0.2", 6, OPENING, OUT, 10, (0, 1)), False),  # it may still be answered
        (("10.0.0.2", 6, OPENING, OUT, 10, (0, 2)), True),  # asked again
        (("10.0.0.2", 6, OPENING, IN, 10, (2, 0)), True),
        (("10.0.0.2", 6, ANSWERED, OUT, 400, (1, 1)), False),
        (("10.0.0.2", 17, OPENING, OUT, 400, (0, 9)), False),
        (("10.0.0.2", 6, OPENING, OUT, 6001, (0, 9)), False),  # expired
    ],
)
def test_connection_that_nobody_answers(session, counts):
    assert len(list(unanswered(chunk(session), TIMEOUTS, NOW, PATIENCE))) == counts


def test_peers_of_sessions_by_opener():
    row = (6, SessionState.ESTABLISHED, OUT, 1, (1, 1))
    ours = [("10.0.0.2", *row), ("10.0.0.2", *row), ("10.0.0.3", *row)]
    theirs = ("10.0.0.4", 6, SessionState.ESTABLISHED, IN, 1, (1, 1))
    found = remotes(chunk(*ours, theirs, table=SessionTable.TCP4), OUT)
    assert sorted(map(str, found)) == ["10.0.0.2", "10.0.0.2", "10.0.0.3"]


def test_segments_are_read_by_the_names_of_the_kernel(tmp_path):
    file = tmp_path / "snmp"
    file.write_text("Ip: A B\nIp: 1 2\nTcp: InSegs OutSegs RetransSegs\nTcp: 5 7 3\n")
    assert host.tcp_segments(file) == {"tcp_segments": 7, "tcp_retransmits": 3}


@pytest.mark.parametrize("text", ["", "Tcp: OutSegs\n", "Tcp: OutSegs\nTcp: x\n"])
def test_segments_that_are_not_told_are_no_value(tmp_path, text):
    (tmp_path / "snmp").write_text(text)
    assert host.tcp_segments(tmp_path / "snmp") == {}


def test_document_of_a_line_is_json(tmp_path):
    Journal(tmp_path).append(sample(1))
    assert json.loads((tmp_path / "current").read_text())["values"] == {"x": 1}
