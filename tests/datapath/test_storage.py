"""A disk that is full or read-only, and a bpf file system that is not there, at the steps of a policy change: the agent
as processes, its files on a small file system of their own.
"""

from __future__ import annotations

import subprocess
import time
from contextlib import contextmanager

import pytest
from builders import bundle, rule
from left_out import AGENT
from test_agent import Host
from world import PEER, US, World, tcp

from tcmicro_agent.policy.model import Action

pytestmark = AGENT
SERVICE, OTHER = 5432, 5433
OLD = bundle(rule("p/db", f"tcp/{SERVICE}", (1,)), endpoints={PEER: 1}, egress=Action.ALLOW)
NEW = bundle(rule("p/db2", f"tcp/{OTHER}", (1,)), endpoints={PEER: 1}, egress=Action.ALLOW)


def fill(path) -> None:
    with path.open("wb", buffering=0) as handle:
        while True:
            handle.write(bytes(4096))


class Stored(Host):
    """Its files lie on a disk of a megabyte."""

    @property
    def disk(self):
        return self.root / "var/lib/tcmicro"

    @contextmanager
    def full(self):
        ballast = self.disk / "ballast"
        with pytest.raises(OSError, match="No space"):
            fill(ballast)
        yield
        ballast.unlink()

    @contextmanager
    def read_only(self):
        subprocess.run(["mount", "-o", "remount,ro", self.disk], check=True)
        yield
        subprocess.run(["mount", "-o", "remount,rw", self.disk], check=True)

    def opens(self) -> int:
        """The port that the live policy opens."""
        found = [port for port in (SERVICE, OTHER) if tcp(self.world.peer, US, port)]
        assert len(found) == 1, found
        return found[0]


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    world = World()
    for port in (SERVICE, OTHER):
        world.serve(world.us, port)
    bpffs = tmp_path_factory.mktemp("bpffs")
    subprocess.run(["mount", "-t", "bpf", "bpf", bpffs], check=True)
    made = Stored(world, tmp_path_factory.mktemp("host"), bpffs)
    made.disk.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", made.disk], check=True)
    made.configure(mode="protect")
    made.start()
    yield made
    made.stop()
    made.run("detach")
    for mount in (made.disk, bpffs):
        subprocess.run(["umount", mount], check=True)
    world.close()


@pytest.fixture
def host(stored):
    stored.run("policy", "revert")
    assert stored.run("policy", "apply", stored.write(OLD))[0] == 0
    assert stored.opens() == SERVICE
    return stored


def arm(host) -> list[str]:
    code, answer = host.run("policy", "apply", host.write(NEW), "--confirm-within", "30")
    assert code == 0, answer
    return ticket_of(answer)


FAULTS = {"full": "No space left on device", "read_only": "Read-only file system"}


@pytest.mark.parametrize("fault", FAULTS)
def test_nothing_is_armed_that_cannot_be_written_down(host, fault):
    before = host.status()["policy"]
    with getattr(host, fault)():
        code, error = host.run("policy", "apply", host.write(NEW), "--confirm-within", "30")
        assert code == 1
        assert FAULTS[fault] in error["error"]["message"]
        assert host.opens() == SERVICE
    assert host.status()["policy"] == before


@pytest.mark.parametrize("fault", FAULTS)
def test_a_change_is_taken_back_by_the_kernel_though_nothing_can_be_written(host, fault):
    code, answer = host.run("policy", "apply", host.write(NEW), "--confirm-within", "13")
    assert code == 0, answer
    with getattr(host, fault)():
        assert host.opens() == OTHER
        deadline = time.monotonic() + 40
        while not tcp(host.world.peer, US, SERVICE):
            assert time.monotonic() < deadline, "the kernel did not take it back"
        assert host.opens() == SERVICE
    assert host.run("policy", "confirm", *ticket_of(answer))[0] == 8


def test_what_the_kernel_keeps_is_written_down_once_there_is_room(host):
    ticket = arm(host)
    with host.full():
        code, error = host.run("policy", "confirm", *ticket)
        assert (code, FAULTS["full"] in error["error"]["message"]) == (1, True), error
        assert host.opens() == OTHER
    assert host.run("policy", "confirm", *ticket)[0] == 0
    status = host.status()
    assert (status["policy"]["state"], status["transaction"]["state"]) == ("committed", "confirmed")


def test_nothing_can_be_confirmed_on_a_disk_that_takes_no_lock(host):
    ticket = arm(host)
    with host.read_only():
        code, error = host.run("policy", "confirm", *ticket)
        assert (code, FAULTS["read_only"] in error["error"]["message"]) == (1, True), error
    assert host.run("policy", "confirm", *ticket)[0] == 0


def test_without_its_bpf_file_system_the_agent_changes_nothing_and_packets_are_judged(host):
    blind = Stored(host.world, host.root, host.root)  # no bpf file system there, and no pins
    code, error = blind.run("policy", "apply", host.write(NEW), "--confirm-within", "30")
    assert code == 1
    assert "is not there" in error["error"]["message"]
    assert host.opens() == SERVICE
    assert host.status()["policy"]["state"] == "committed"


def ticket_of(answer: dict) -> list[str]:
    return [answer["transaction"]["id"], "--token", answer["transaction"]["token"]]
