"""A host comes to a release and stays there, or is left on the release it had."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from ansible_collections.tcmicro.fleet.plugins.module_utils.agent import Reply
from ansible_collections.tcmicro.fleet.plugins.module_utils.guard import Guard
from ansible_collections.tcmicro.fleet.plugins.module_utils.installer import Clock, Installer
from ansible_collections.tcmicro.fleet.plugins.module_utils.releases import (
    DIGEST_FILE,
    Layout,
    ReleaseError,
)


@dataclass
class Host:
    """A service that runs whatever is current, unless that release is broken."""

    layout: Layout
    broken: set = field(default_factory=set)
    unfit: set = field(default_factory=set)
    active: bool = False
    enabled: bool = False
    running: str | None = None
    pid: int = 100
    restarts: int = 0
    time: float = 0
    calls: list = field(default_factory=list)

    # the service
    def show(self):
        state = "active" if self.active else "activating"
        return {
            "active": self.active,
            "enabled": self.enabled,
            "failed": False,
            "state": state,
            "result": "exit-code",
            "restarts": self.restarts,
            "pid": self.pid,
        }

    def act(self, verb):
        self.calls.append(verb)
        self.enabled = self.enabled or verb == "enable"
        self.active = self.active and verb != "stop"

    def launch(self, verb):
        self.calls.append(verb)
        self.running = self.layout.linked(self.layout.current)
        self.active = self.running not in self.broken
        self.restarts = 0
        self.pid += 1

    def reload_units(self):
        self.calls.append("daemon-reload")

    def journal(self):
        return "last words"

    # the agent
    def at(self, program):
        version = program.parent.parent.name
        return Program(self, version)

    # time
    def sleep(self, seconds):
        self.time += seconds
        if not self.active:
            self.restarts += 1


@dataclass
class Program:
    host: Host
    version: str

    def installed(self):
        return True

    def call(self, verb):
        if verb == "preflight" and self.version in self.host.unfit:
            finding = {"check": "kernel", "level": "fail", "found": "4.19", "needed": ">= 5.10"}
            return Reply(verb, 3, {"kind": "Preflight", "findings": [finding]}, "")
        agent = {"running": self.host.active, "release": self.host.running}
        return Reply(verb, 0, {"release": "irrelevant", "agent": agent}, "")


@pytest.fixture
def host(tmp_path):
    layout = Layout(str(tmp_path))
    layout.unit.parent.mkdir(parents=True)
    for version in ("0.1.0", "0.1.1"):
        release = layout.release(version)
        release.mkdir(parents=True)
        (release / DIGEST_FILE).write_text(f"digest of {version}\n")
        (release / "tcmicro-agent.service").write_text(f"unit of {version}\n")
    return Host(layout)


@pytest.fixture
def installer(host):
    clock = Clock(now=lambda: host.time, sleep=host.sleep)
    return Installer(host.layout, host, host.at, Guard(host.layout, no_program), clock)


def no_program(argv):
    raise AssertionError(f"these releases have no guard to run: {argv}")


def bring(installer, version, *, back=False):
    steps = installer.run_steps(version, back=back)
    if steps:
        installer.carry_out(steps, version, 10)
    return [step.text for step in steps]


def test_first_installation_starts_and_enables(host, installer):
    steps = bring(installer, "0.1.0")
    assert steps[0] == "switch from nothing to 0.1.0"
    assert steps[-1] == "start the service"
    assert host.calls == ["daemon-reload", "enable", "start"]


def test_second_run_finds_nothing_to_do(installer):
    bring(installer, "0.1.0")
    assert bring(installer, "0.1.0") == []


def test_change_of_release_restarts(host, installer):
    bring(installer, "0.1.0")
    steps = bring(installer, "0.1.1")
    assert steps[0] == "switch from 0.1.0 to 0.1.1"
    assert steps[-1] == "restart the service"
    assert host.running == "0.1.1"


@pytest.mark.parametrize("cut", range(4))
def test_cut_after_any_step_converges_on_the_next_run(host, installer, cut):
    bring(installer, "0.1.0")
    for step in installer.run_steps("0.1.1")[:cut]:
        step.act()
    bring(installer, "0.1.1")
    assert host.running == "0.1.1"
    assert bring(installer, "0.1.1") == []


def test_stopped_service_is_started(host, installer):
    bring(installer, "0.1.0")
    host.active = False
    assert bring(installer, "0.1.0") == ["start the service"]


def test_release_that_does_not_run_is_taken_back(host, installer):
    bring(installer, "0.1.0")
    host.broken = {"0.1.1"}
    with pytest.raises(ReleaseError) as failure:
        bring(installer, "0.1.1")
    first, *rest = str(failure.value).splitlines()
    assert first.startswith("release 0.1.1 does not run: the service failed")
    assert first.endswith("release 0.1.0 is current again and runs")
    assert rest == ["last words"]
    assert host.running == "0.1.0"
    assert host.layout.linked(host.layout.previous) is None
    assert not host.layout.unit_differs("0.1.0")
    assert host.time < 10


def test_first_release_that_does_not_run_leaves_none(host, installer):
    host.broken = {"0.1.0"}
    with pytest.raises(ReleaseError, match="there is no earlier release to go back to"):
        bring(installer, "0.1.0")
    assert host.layout.linked(host.layout.current) is None
    assert host.calls[-1] == "stop"


def test_both_releases_broken_is_said(host, installer):
    bring(installer, "0.1.0")
    host.broken = {"0.1.0", "0.1.1"}
    with pytest.raises(
        ReleaseError, match="release 0.1.0 is current again, and does not run either"
    ):
        bring(installer, "0.1.1")


def test_going_back_twice_changes_nothing(host, installer):
    bring(installer, "0.1.0")
    bring(installer, "0.1.1")
    assert bring(installer, "0.1.0", back=True)
    assert host.layout.linked(host.layout.previous) == "0.1.0"
    assert bring(installer, "0.1.0", back=True) == []


def test_candidate_that_does_not_fit_is_refused_with_its_reason(host, installer):
    host.unfit = {"0.1.1"}
    with pytest.raises(ReleaseError, match="nothing was switched: kernel: 4.19, needed >= 5.10"):
        installer.preflight("0.1.1")
    installer.preflight("0.1.0")


def test_same_artifact_is_not_unpacked_again(installer):
    assert installer.unpack_steps("0.1.0", "digest of 0.1.0", None) == []


def test_same_release_of_another_content_is_refused(installer):
    with pytest.raises(ReleaseError, match="a release never changes"):
        installer.unpack_steps("0.1.0", "another", None)


def test_check_mode_predicts_unpacking(installer):
    assert [step.text for step in installer.unpack_steps("0.1.2", "d", None)] == [
        "unpack release 0.1.2"
    ]


def test_an_artifact_that_is_refused_is_not_unpacked(host, installer, tmp_path):
    def refuse():
        raise ReleaseError("unsigned")

    (step,) = installer.unpack_steps("0.1.2", "digest", tmp_path / "artifact", refuse)
    with pytest.raises(ReleaseError, match="unsigned"):
        step.act()
    assert not host.layout.release("0.1.2").exists()


def test_a_release_that_is_there_is_not_asked_for_its_signature(installer, tmp_path):
    def refuse():
        raise ReleaseError("expired")

    digest = "digest of 0.1.0"
    assert installer.unpack_steps("0.1.0", digest, tmp_path / "artifact", refuse) == []
