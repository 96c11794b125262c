"""The journal: written by one controller at a time, whole or not at all, and nothing of it can be changed unseen."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time

import pytest
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.journal import (
    chain,
    denylist,
    schema,
    taking_back,
)
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.journal.journal import (
    HostRow,
    Journal,
)
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.journal.states import (
    Host,
    JournalError,
    Rollout,
    Wave,
)


@pytest.fixture
def controller():
    """A process that a lock can be held for, and that can be ended."""
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    yield process
    process.kill()
    process.wait()


@pytest.fixture
def journal(tmp_path, controller):
    journal = Journal(tmp_path / "rollouts")
    journal.claim(controller.pid)
    yield journal
    journal.close()


def row(host, wave):
    return HostRow(host, wave, Host.PLANNED, "0.1.1", "0.1.0", {"installed": True}, "", 0, None)


@pytest.fixture
def begun(journal):
    journal.begin("r1", "release", "0.1.1", {"bake": 5})
    journal.plan("r1", {"fleet": 2}, [row("web1", 1), row("db1", 2)])
    return journal


def test_rollout_is_read_as_it_was_written(begun):
    record = begun.load("r1")
    assert (record.kind, record.subject, record.state) == ("release", "0.1.1", Rollout.RUNNING)
    assert (record.request, record.plan) == ({"bake": 5}, {"fleet": 2})
    assert list(record.hosts) == ["web1", "db1"]
    assert record.waves == {1: Wave.PLANNED, 2: Wave.PLANNED}


def test_intent_stands_there_before_the_result(begun):
    begun.intend("r1", "apply", ["web1"])
    assert begun.load("r1").hosts["web1"].state is Host.APPLYING
    begun.done("r1", "apply", {"web1": (Host.APPLIED, "")})
    assert begun.load("r1").hosts["web1"].state is Host.APPLIED
    assert begun.load("r1").hosts["db1"].state is Host.PLANNED


def test_verdicts_are_kept_in_order(begun):
    begun.verdict("r1", 1, {"outcome": "inconclusive"})
    begun.verdict("r1", 1, {"outcome": "pass"})
    assert [found["outcome"] for found in begun.verdicts("r1")] == ["inconclusive", "pass"]
    assert begun.load("r1").looks == {1: 2, 2: 0}


def test_first_reason_is_the_one_that_stays(begun):
    begun.state("r1", Rollout.STOPPING, "web1: 3 restarts")
    begun.state("r1", Rollout.BACK, "everybody is back")
    assert begun.load("r1").reason == "web1: 3 restarts"
    assert begun.unfinished() == []


def test_unknown_rollout_names_those_there_are(begun):
    with pytest.raises(JournalError, match=r"'r2' is not in .*: r1"):
        begun.load("r2")


def test_chain_is_whole_and_a_changed_event_is_seen(begun):
    begun.wave("r1", 1, Wave.CHANGING)
    assert chain.broken(begun.database.links()) == ""
    begun.database.connection.execute("UPDATE events SET text = 'release 0.9' WHERE seq = 1")
    assert chain.broken(begun.database.links()) == "event 1 was changed"
    begun.database.connection.execute("DELETE FROM events WHERE seq = 1")
    assert chain.broken(begun.database.links()) == "event 1 is missing"


def test_chain_is_read_on_where_the_last_reading_ended(begun):
    reading = chain.Reading()
    reading.read(begun.database.links())
    begun.database.connection.execute("UPDATE events SET text = 'unseen' WHERE seq = 1")
    begun.wave("r1", 1, Wave.CHANGING)
    more = begun.database.links(reading.last)
    assert [event.seq for event, _, _ in more] == [3]
    reading.read(more)
    assert (reading.last, reading.fault) == (3, "")
    begun.wave("r1", 1, Wave.FAILED)
    begun.database.connection.execute("UPDATE events SET text = 'passed' WHERE seq = 4")
    reading.read(begun.database.links(reading.last))
    assert reading.fault == "event 4 was changed"


def test_what_is_written_is_on_disk_at_once(begun):
    mode = begun.database.connection.execute("PRAGMA journal_mode").fetchone()[0]
    full = begun.database.connection.execute("PRAGMA synchronous").fetchone()[0]
    assert (mode, full) == ("wal", 2)


def test_cut_change_leaves_nothing(begun):
    with pytest.raises(sqlite3.IntegrityError):
        begun.plan("r1", {"fleet": 9}, [row("web1", 1)])
    assert begun.load("r1").plan == {"fleet": 2}


def test_second_controller_is_refused_while_the_first_lives(begun, controller):
    other = Journal(begun.directory)
    with pytest.raises(JournalError, match=f"another controller .process {controller.pid}."):
        other.claim(os.getpid())


def test_controller_takes_turn_after_turn_and_others_stay_refused(begun, controller):
    """Two playbooks in one run, say a rollback of the release and one of the policy."""
    assert Journal(begun.directory).claim(controller.pid) == begun.epoch + 1
    with pytest.raises(JournalError, match=f"another controller .process {controller.pid}."):
        Journal(begun.directory).claim(os.getpid())


def test_lock_ends_with_its_controller(begun, controller):
    """The holder sees the end of its controller a moment later; whoever follows waits for that."""
    controller.send_signal(signal.SIGKILL)
    controller.wait()
    follower = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        assert Journal(begun.directory).claim(follower.pid) == begun.epoch + 1
    finally:
        follower.kill()
        follower.wait()


def test_controller_that_has_ended_takes_no_turn(tmp_path, controller):
    controller.kill()
    for _ in range(2):  # not waited for yet, and gone for good
        with pytest.raises(JournalError, match="the controller is gone"):
            Journal(tmp_path).claim(controller.pid)
        controller.wait()
    assert Journal(tmp_path).claim(os.getpid()) == 1


LEFT_BEHIND = """
import multiprocessing, os, pathlib, sys, time
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.journal import lock

def task(controller):
    while os.getppid() == controller:
        time.sleep(0.01)
    pathlib.Path(sys.argv[1]).write_text(str(lock.controller() == controller))

multiprocessing.get_context("fork").Process(target=task, args=(os.getpid(),)).start()
os._exit(0)
"""


def test_task_that_was_left_behind_is_not_of_whoever_adopts_it(tmp_path):
    said = tmp_path / "said"
    found = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", LEFT_BEHIND, said], check=True, env=found)
    for _ in range(1000):
        if said.exists() and said.read_text():
            break
        time.sleep(0.01)
    assert said.read_text() == "True"


def test_controller_of_an_earlier_epoch_writes_nothing_more(begun):
    Journal(begun.directory).database.claim(1)
    with pytest.raises(JournalError, match="another controller has taken over .epoch 2"):
        begun.intend("r1", "apply", ["web1"])
    assert begun.load("r1").hosts["web1"].state is Host.PLANNED


def test_journal_that_is_none_is_refused(tmp_path):
    (tmp_path / "journal.db").write_text("not a database, but text that is long enough" * 100)
    with pytest.raises(JournalError, match="the journal cannot be used"):
        Journal(tmp_path)


def test_journal_of_another_version_is_refused(begun):
    begun.database.connection.execute("PRAGMA user_version = 99")
    with pytest.raises(JournalError, match="of version 99"):
        Journal(begun.directory)


def test_denied_digest_is_refused_until_it_is_allowed_by_name(begun):
    denylist.deny(begun, "r1", ["aa11"], "web1: 3 restarts")
    denylist.refuse(begun, {"release 0.1.2": "bb22"}, "")
    with pytest.raises(JournalError, match="web1: 3 restarts.*allow_denied=aa11"):
        denylist.refuse(begun, {"release 0.1.1": "aa11"}, "bb22")
    denylist.refuse(begun, {"release 0.1.1": "aa11"}, "aa11")
    denylist.lift(begun, "r1", "aa11")
    denylist.refuse(begun, {"release 0.1.1": "aa11"}, "")


def test_hosts_are_told_higher_numbers_by_later_controllers(begun):
    first = begun.database.fence(begun.epoch)
    second = begun.database.claim(1)
    assert abs(first - time.time()) < 60
    assert begun.database.fence(second) > first


def test_clock_that_went_back_makes_no_lower_number(begun, monkeypatch):
    first = begun.database.fence(begun.epoch)
    monkeypatch.setattr(time, "time", lambda: 1e9)
    assert begun.database.fence(begun.database.claim(1)) > first


def test_ticket_of_a_host_is_kept(begun):
    begun.tickets("r1", {"web1": {"id": "7", "token": "t"}})
    hosts = begun.load("r1").hosts
    assert (hosts["web1"].ticket, hosts["db1"].ticket) == ({"id": "7", "token": "t"}, None)


def test_journal_of_the_version_before_is_brought_to_this_one(tmp_path):
    with sqlite3.connect(tmp_path / "journal.db") as old:
        old.executescript(schema.FIRST)
        old.execute("PRAGMA user_version = 1")
        old.execute("INSERT INTO rollouts VALUES ('r1','release','1','done','','{}','{}',1,2)")
        old.execute("INSERT INTO hosts VALUES ('r1','web1',1,0,'kept','1','0','{}','',0,NULL)")
    assert Journal(tmp_path).load("r1").hosts["web1"].ticket is None


# --- the way back


@pytest.fixture
def stopping(journal):
    """Twelve hosts that are to be taken back, four of them in another rack."""
    hosts = [f"h{n}" for n in range(12)]
    journal.begin("r1", "release", "0.1.1", {"bake": 5})
    journal.plan("r1", {}, [row(host, 1) for host in hosts])
    journal.done("r1", "keep", dict.fromkeys(hosts, (Host.KEPT, "")))
    journal.state("r1", Rollout.STOPPING, "it was asked for")
    return journal


RACKS = {f"h{n}": "r1" if n < 8 else "r2" for n in range(12)}


def take_back(journal, *hosts):
    return taking_back.take_back(journal, {"rollout": "r1", "hosts": hosts, "domains": RACKS})


def test_rack_in_which_taking_back_fails_is_left_alone(stopping):
    assert take_back(stopping, "h0", "h1", "h8")["hosts"] == ["h0", "h1", "h8"]
    stuck = (Host.STUCK, "it runs release 0.1.1")
    stopping.done("r1", "back", {"h0": stuck, "h1": stuck, "h8": (Host.RESTORED, "")})
    assert take_back(stopping, "h2", "h3", "h9") == {"next": "back", "hosts": ["h9"]}
    left = stopping.load("r1").hosts["h2"]
    assert (left.state, left.failure) == (Host.KEPT, "left alone: taking back fails in r1")


def test_taking_back_stops_where_it_fails_on_too_many(stopping):
    take_back(stopping, "h0", "h8", "h9")
    stopping.done("r1", "back", dict.fromkeys(("h0", "h8", "h9"), (Host.STUCK, "")))
    assert take_back(stopping, "h1") == {"next": "stop"}
    assert stopping.load("r1").state is Rollout.HALTED


def test_policy_a_host_was_taken_back_to_is_known_until_something_else_is_done(journal):
    begin = {"r1": Host.RESTORED, "r2": Host.KEPT}
    for number, (rollout, state) in enumerate(begin.items()):
        journal.begin(rollout, "policy", "d1", {})
        journal.plan(rollout, {}, [row("web1", 1), row("db1", 1)])
        journal.done(rollout, "back", {"web1": (state, "")})
        assert journal.taken_back_to("web1") == ("0.1.0" if number == 0 else "")
    assert journal.taken_back_to("db1") == ""
