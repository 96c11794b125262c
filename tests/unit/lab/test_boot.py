"""Booting many machines: some at a time, until each answers, and a failure says which and why."""

from __future__ import annotations

import pytest
from tcmicro_lab.boot import boot
from tcmicro_lab.model import Act, Kind, LabError

ACTS = [Act(Kind.MACHINE, name) for name in ("web1", "db1", "client1", "web2", "db2")]


class Clock:
    def __init__(self):
        self.time = 0.0

    def now(self):
        return self.time

    def sleep(self, seconds):
        self.time += seconds


class Machines:
    """Answer one second after their start, but those named `dead` end and those named `mute` never do."""

    def __init__(self, clock, *, running=(), dead=(), mute=()):
        self.clock, self.dead, self.mute = clock, dead, mute
        self.started = {act: -1.0 for act in ACTS if act.target in running}
        self.most = 0

    def exists(self, act):
        return act in self.started and act.target not in self.dead

    def make(self, act):
        self.started[act] = self.clock.now()
        self.most = max(self.most, sum(not self.answers(act) for act in self.started))

    def answers(self, act):
        return act.target not in self.mute and self.clock.now() - self.started[act] >= 1

    def evidence(self, act):
        return f"console of {act.target}"


@pytest.fixture
def clock():
    return Clock()


def test_all_boot_and_no_more_than_allowed_at_a_time(clock):
    machines = Machines(clock)
    assert boot(machines, ACTS, 2, 10, clock) == ACTS
    assert machines.most == 2


def test_what_runs_is_not_started_again(clock):
    machines = Machines(clock, running=("web1", "db2"))
    started = boot(machines, ACTS, 8, 10, clock)
    assert [act.target for act in started] == ["db1", "client1", "web2"]


def test_a_machine_that_ends_is_named_with_its_console(clock):
    with pytest.raises(LabError, match="db1: its processes ended .*; console of db1; run `make"):
        boot(Machines(clock, dead=("db1",)), ACTS, 8, 10, clock)


def test_a_machine_that_never_answers_is_named_after_its_time(clock):
    with pytest.raises(LabError, match="client1: sshd did not answer within 10 s"):
        boot(Machines(clock, mute=("client1",)), ACTS, 8, 10, clock)
    assert 10 < clock.now() < 12


def test_a_failure_starts_no_more_machines(clock):
    machines = Machines(clock, dead=("web1",))
    with pytest.raises(LabError):
        boot(machines, ACTS, 1, 10, clock)
    assert [act.target for act in machines.started] == ["web1"]
