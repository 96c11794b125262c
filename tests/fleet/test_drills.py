"""Drills on the lab: real faults in releases and policies, each caught where it was planted and gone afterwards."""

from __future__ import annotations

import json

import pytest

from tcmicro_agent.signing import Role
from tools import keys
from tools.demo.releases import FIRST, NEXT

pytestmark = pytest.mark.lab

SHORT = ("-e", "bake=8", "-e", "stage=1")
DRILLS = {
    "crash_loop": SHORT,
    "verifier_reject": SHORT,
    "ssh_cut": SHORT,
}
# A release that was refused stays among a host's releases, as any other does; nothing names it.
PLACES = (
    "/run/tcmicro-drill /run/systemd/system/tcmicro-agent.service.d /run/tcmicro/drill.json "
    "$(readlink -f /opt/tcmicro/current /opt/tcmicro/previous | grep -e -drill)"
)


@pytest.fixture
def fleet(reach, scene):
    """What every host runs and enforces; the same afterwards, with nothing of a drill on any."""
    reach(4)

    def look():
        states = {name: scene.lab.agent(name, "status") for name in scene.lab.hosts()}
        return {
            name: (found["agent"]["release"], found["policy"]["digest"], found["drift"])
            for name, found in states.items()
        }

    before = look()
    yield before
    assert look() == before
    for name in scene.lab.hosts():
        assert scene.lab.ssh(name, f"ls -d {PLACES} 2>/dev/null").out == ""
        assert "drill" not in scene.lab.ssh(name, "systemctl list-timers --all --no-pager").out


@pytest.fixture
def drilled(fleet, scene):
    """Run a drill; its result."""

    def run(fault, *words):
        running = next(iter(fleet.values()))[0]
        release = (
            () if fault == "ssh_cut" else ("-e", f"release={NEXT if running == FIRST else FIRST}")
        )
        key = keys.private(scene.root / ".keys", Role.RELEASE)
        known = ("-e", f"drill_fault={fault}", "-e", f"drill_release_key={key}")
        outcome = scene.plays.run("drill", *known, *release, *words)
        assert outcome.code == 0, outcome.output[-3000:]
        found = json.loads((scene.plays.rollouts / "drills/drills.json").read_text())["results"]
        return next(result for result in found if result["drill"]["fault"] == fault)

    return run


@pytest.mark.parametrize("fault", DRILLS)
def test_fault_is_caught_in_its_wave_and_leaves_nothing(drilled, say, fault):
    found = drilled(fault, *DRILLS[fault])
    assert found["outcome"] == "caught", found["wrong"]
    assert (found["wave"], found["wrong"]) == (1, [])
    assert 1 <= found["exposed"] <= found["exposure_planned"] < found["drill"]["fleet"]
    assert found["by"]["host"] in ["", *found["drill"]["hosts"]]
    assert (found["on_fault"], found["locked_out"], found["remains"]) == ([], [], {})
    say(f"{fault}: {found['seconds']:.0f} s, {found['by']['text'][:90]}")
