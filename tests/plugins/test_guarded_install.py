"""A release that takes the place of another is switched, confirmed and taken back by the host's own guard."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from ansible_collections.tcmicro.fleet.plugins.module_utils.agent import ServiceError
from ansible_collections.tcmicro.fleet.plugins.module_utils.guard import SOURCE, UNITS, Guard
from ansible_collections.tcmicro.fleet.plugins.module_utils.installer import Clock, Installer
from ansible_collections.tcmicro.fleet.plugins.module_utils.releases import (
    DIGEST_FILE,
    Layout,
    ReleaseError,
)

from tcmicro_agent import guard as program
from tests.plugins.test_installer import Host

A, B, C = "0.1.0", "0.1.1", "0.1.2"
GUARD = Path(program.__file__).read_text()


class GuardedHost(Host):
    """Also runs the guard, in this process; systemd is what the service fake is."""

    broken_guards = frozenset()

    def start(self):
        self.commands = []
        self.effects = program.Host(self.layout.home.parents[1], self.systemctl)

    def systemctl(self, words):
        self.commands.append(" ".join(words))
        if words[-2:] == ["restart", program.AGENT]:
            self.launch("restart")

    def run(self, argv):
        if argv[0] == "systemctl":
            self.systemctl(argv[1:])
            return 0, "", ""
        if argv[0] == "/usr/bin/python3":
            broken = Path(argv[2]).parents[2].name in self.broken_guards
            return (1, "", "SyntaxError") if broken else (0, "{}", "")
        assert argv[0] == str(self.layout.home / "guard/tcmicro-guard")
        try:
            done = program.act(argv[1:], program.Guard(self.effects), self.effects)
        except program.GuardError as exc:
            return exc.code, json.dumps({"error": {"message": str(exc)}}), ""
        return 0, json.dumps(done), ""


def release(layout, version, *, guarded=True):
    """A release on disk; the guards of two releases differ by a comment."""
    place = layout.release(version)
    (place / "bin").mkdir(parents=True)
    (place / "bin/tc-micro").touch(0o755)
    (place / DIGEST_FILE).write_text(f"digest of {version}\n")
    (place / "tcmicro-agent.service").write_text(f"unit of {version}\n")
    if guarded:
        (place / SOURCE).parent.mkdir(parents=True)
        (place / SOURCE).write_text(f"{GUARD}# {version}\n")
        for name in UNITS:
            (place / name).write_text(f"{name} of {version}\n")


@pytest.fixture
def host(tmp_path):
    layout = Layout(str(tmp_path))
    layout.unit.parent.mkdir(parents=True)
    layout.state.mkdir(parents=True)
    for version in (A, B, C):
        release(layout, version)
    host = GuardedHost(layout)
    host.start()
    return host


@pytest.fixture
def guard(host):
    return Guard(host.layout, host.run)


@pytest.fixture
def installer(host, guard):
    clock = Clock(now=lambda: host.time, sleep=lambda seconds: host.sleep(seconds))
    return Installer(host.layout, host, host.at, guard, clock)


def bring(installer, version, *, back=False):
    steps = installer.run_steps(version, back=back)
    if steps:
        installer.carry_out(steps, version, 10)
    return [step.text for step in steps]


def confirm(installer, version):
    steps = installer.confirm_steps(version, installer.health(version, 10))
    for step in steps:
        step.act()
    return [step.text for step in steps]


def guard_of(host):
    return (host.layout.home / "guard/tcmicro-guard").read_text().rpartition("# ")[2].strip()


def test_first_release_brings_its_guard_and_needs_no_confirmation(host, installer, guard):
    assert bring(installer, A)[:2] == ["install the guard", f"switch from nothing to {A}"]
    assert guard_of(host) == A
    assert "enable tcmicro-guard@boot.service tcmicro-guard.timer tcmicro-boot.service" in (
        host.commands
    )
    assert guard.transaction() is None
    assert bring(installer, A) == []


def test_next_release_waits_to_be_confirmed_and_then_brings_its_guard(host, installer, guard):
    bring(installer, A)
    steps = bring(installer, B)
    assert steps[0] == f"switch from {A} to {B}, for 300 s unless it is confirmed"
    assert guard.pending(B)["previous"] == A
    assert guard_of(host) == A
    assert bring(installer, B) == []
    assert confirm(installer, B) == [f"confirm {B}", "install the guard"]
    assert guard.transaction()["evidence"]["pid"] == host.pid
    assert guard_of(host) == B
    assert confirm(installer, B) == []


def test_guard_that_was_not_updated_is_updated_by_the_next_run(host, installer):
    bring(installer, A)
    bring(installer, B)
    installer.confirm_steps(B, {})[0].act()
    pid = host.pid
    assert bring(installer, B) == ["install the guard"]
    assert host.pid == pid


def test_guard_that_does_not_run_replaces_none(host, installer, guard):
    bring(installer, A)
    bring(installer, B)
    host.broken_guards = {B}
    with pytest.raises(ReleaseError, match="guard of release 0.1.1 does not run here: SyntaxError"):
        confirm(installer, B)
    assert guard_of(host) == A
    assert guard.transaction()["state"] == "confirmed"


def test_release_that_does_not_run_is_taken_back_by_the_guard(host, installer, guard):
    bring(installer, A)
    host.broken = {B}
    with pytest.raises(ReleaseError, match="release 0.1.0 is current again and runs"):
        bring(installer, B)
    assert host.running == A
    assert guard.transaction()["state"] == "reverted"
    assert not host.layout.unit_differs(A)


def test_host_that_was_faster_is_believed(host, installer, guard):
    """The service failed for good, and the guard has gone back, while the installer still waits."""
    bring(installer, A)
    host.broken = {B}
    host.sleep = lambda _: guard.pending(B) and program.Guard(host.effects).failed()
    with pytest.raises(
        ReleaseError, match="the host took the release back: its service failed; release 0.1.0"
    ):
        bring(installer, B)
    assert host.running == A


def test_release_that_was_taken_back_is_not_confirmed(host, installer, guard):
    bring(installer, A)
    bring(installer, B)
    found = guard.pending(B)
    guard.revert()
    assert guard.taken_back(B) == "it was asked for"
    with pytest.raises(ServiceError, match="was taken back"):
        guard.confirm(found["id"], {})


def test_third_release_is_refused_while_the_second_waits(host, installer):
    bring(installer, A)
    bring(installer, B)
    with pytest.raises(ReleaseError, match="waits to be confirmed"):
        bring(installer, C)
    assert host.running == B


@pytest.mark.parametrize("confirmed", [False, True])
def test_going_back_ends_the_transaction(host, installer, guard, confirmed):
    bring(installer, A)
    bring(installer, B)
    if confirmed:
        confirm(installer, B)
    assert f"take {B} back, to {A}" in bring(installer, A, back=True)
    assert guard.transaction()["state"] == "reverted"
    assert host.layout.linked(host.layout.previous) == A
    assert bring(installer, A, back=True) == []
    bring(installer, B)
    assert guard.pending(B)


def test_earlier_release_is_tried_anew_unless_it_is_gone_back_to(host, installer, guard):
    bring(installer, A)
    bring(installer, B)
    confirm(installer, B)
    bring(installer, A)
    assert guard.pending(A)["previous"] == B
    assert f"take {A} back, to {B}" in bring(installer, B)
    assert (host.running, guard.transaction()["state"]) == (B, "reverted")


def test_going_back_further_needs_no_confirmation(host, installer, guard):
    for version in (A, B, C):
        bring(installer, version)
        confirm(installer, version) if version != A else None
    assert f"switch from {C} to {A}" in bring(installer, A, back=True)
    assert (host.running, guard.pending(A)) == (A, None)


def test_host_whose_release_has_no_guard_gets_that_of_the_next(host, installer, guard):
    old = "0.0.9"
    release(host.layout, old, guarded=False)
    assert bring(installer, old)[0] == f"switch from nothing to {old}"
    assert bring(installer, A)[0] == "install the guard"
    assert guard.pending(A)


@pytest.mark.parametrize("cut", range(4))
def test_cut_after_any_step_converges_on_the_next_run(host, installer, guard, cut):
    bring(installer, A)
    for step in installer.run_steps(B)[:cut]:
        step.act()
    bring(installer, B)
    assert (host.running, bool(guard.pending(B))) == (B, True)
    confirm(installer, B)
    assert bring(installer, B) == []


def test_everything_of_the_guard_can_be_removed(host, installer, guard):
    bring(installer, A)
    guard.retire()
    assert guard.units() == []
    enabled = "tcmicro-guard@boot.service tcmicro-guard.timer tcmicro-boot.service"
    assert {f"stop {enabled}", f"disable {enabled}"} <= set(host.commands)
