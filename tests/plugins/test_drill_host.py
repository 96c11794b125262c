"""A drill on a host: the end is armed first, all of it is removed, and in any doubt the agent runs as it is."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAMS = Path(__file__).resolve().parents[2] / "roles/tcmicro_drill/files"


def program(name):
    spec = importlib.util.spec_from_file_location(f"drill_{name}", PROGRAMS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


drill, faults = program("drill"), program("faults")
PLAN = {"drill": "d1", "fault": "crash_loop", "how": "process", "version": "0.1.1", "amount": 4}


class Machine:
    """A host below a folder, and the commands that were run on it."""

    def __init__(self, root: Path) -> None:
        self.root, self.ran, self.fails = root, [], ""
        self.host = drill.Host(root, self.run)
        for folder in (
            "run/tcmicro-drill",
            "run/tcmicro",
            "var/lib/tcmicro",
            "proc/self",
            "proc/7",
        ):
            (root / folder).mkdir(parents=True)
        (root / "proc/7/cmdline").write_bytes(
            b"/usr/bin/python3\0-I\0/opt/tcmicro/current/bin/tc-micro\0run"
        )
        for process in ("self", "7"):
            (root / f"proc/{process}/mountinfo").write_text("1 0 8:1 / / rw - ext4 /dev/sda rw\n")

    def run(self, words):
        self.ran.append(" ".join(words))
        if self.fails and self.fails in self.ran[-1]:
            raise drill.DrillError(f"{self.fails}: exit code 1")
        return "7\n" if "MainPID" in self.ran[-1] else ""

    def mount(self, *processes: str) -> None:
        line = "2 1 0:9 / /var/lib/tcmicro rw shared:4 - tmpfs tcmicro-drill rw\n"
        for process in processes:
            with (self.root / f"proc/{process}/mountinfo").open("a") as file:
                file.write(line)

    def acted(self) -> list[str]:
        return [words for words in self.ran if "systemctl show" not in words]


@pytest.fixture
def machine(tmp_path):
    return Machine(tmp_path)


def wanted(seconds=60, **more):
    return {**PLAN, "expires_s": seconds, "until_ms": drill.now_ms() + seconds * 1000, **more}


def test_end_is_armed_before_anything_begins(machine):
    machine.fails = "systemd-run"
    with pytest.raises(drill.DrillError):
        machine.host.plant(wanted())
    assert machine.host.left() == []


def test_fault_of_the_agent_begins_with_its_next_start(machine):
    assert machine.host.plant(wanted()) is True
    armed, reloaded = [words for words in machine.acted() if "stop" not in words]
    assert "--on-active=" in armed
    assert armed.endswith(f"-I {machine.host.home}/drill.py remove")
    assert reloaded == "systemctl daemon-reload"
    assert f"ExecStart=/usr/bin/python3 -I {machine.host.home}/faults.py run" in (
        machine.host.dropin.read_text().splitlines()
    )


def test_planting_twice_changes_nothing(machine):
    machine.host.plant(wanted())
    machine.ran.clear()
    assert machine.host.plant(wanted()) is False
    assert machine.acted() == []


def test_another_drill_is_not_disturbed(machine):
    machine.host.plant(wanted())
    with pytest.raises(drill.DrillError, match=r"drill d1 \(crash_loop\) is under way"):
        machine.host.plant(wanted(drill="d2"))
    assert machine.host.read()["drill"] == "d1"


def test_drill_that_is_over_makes_room(machine):
    machine.host.plant(wanted())
    machine.host.plan.write_text(json.dumps(wanted(-1)))
    assert machine.host.plant(wanted(drill="d2")) is True
    assert machine.host.read()["drill"] == "d2"


def test_all_that_was_planted_is_removed_and_removing_twice_changes_nothing(machine):
    machine.host.plant(wanted())
    machine.host.began.write_text("{}")
    assert len(machine.host.left()) == 3
    assert machine.host.remove() is True
    assert machine.host.left() == []
    assert not machine.host.dropin.parent.exists()
    assert "systemctl restart tcmicro-agent.service" not in machine.ran
    assert machine.host.remove() is False


def test_what_is_no_plan_is_removed_too(machine):
    machine.host.plant(wanted())
    machine.host.plan.write_text('{"drill": ')
    assert machine.host.read() is None
    assert machine.host.remove() is True
    assert machine.host.left() == []


@pytest.mark.parametrize("how", ["command line", "file system"])
def test_agent_that_has_the_fault_in_it_is_started_anew(machine, how):
    machine.host.plant(wanted())
    if how == "command line":
        (machine.root / "proc/7/cmdline").write_bytes(b"python3\0/run/tcmicro-drill/faults.py\0run")
    else:
        machine.mount("7")
    assert "the agent's process has it" in machine.host.left()
    machine.host.remove()
    assert "systemctl restart tcmicro-agent.service" in machine.ran


def test_full_file_system_has_what_was_there_and_no_room(machine):
    """But for the mounts: the folder takes the place of the small file system, which has a bound."""
    (machine.root / "var/lib/tcmicro/floors").mkdir()
    (machine.root / "var/lib/tcmicro/floors/policy").write_text("12")
    machine.host.plant(wanted(how="disk"))
    full = machine.host.home / "state"
    assert (full / "floors/policy").read_text() == "12"
    mounted, bound, unmounted = [words for words in machine.ran if "mount" in words]
    size = int(mounted.partition("size=")[2].split()[0])
    assert (full / "ballast").stat().st_size + 4096 > size - 4096 * 2
    assert bound == f"mount --bind {full} {machine.host.state}"
    assert unmounted == f"umount {full}"
    assert not machine.host.dropin.exists()


def test_full_file_system_is_taken_away(machine):
    machine.host.plant(wanted(how="disk"))
    machine.mount("self")
    assert "file system on /var/lib/tcmicro" in machine.host.left()
    machine.host.remove()
    assert "umount /var/lib/tcmicro" in machine.ran


@pytest.mark.parametrize(("fails", "code"), [("", 0), ("systemd-run", 3)])
def test_answer_is_one_document(machine, capsys, fails, code):
    machine.fails = fails
    words = ["plant", json.dumps({**PLAN, "expires_s": 60})]
    assert drill.main(words, machine.host) == code
    found = json.loads(capsys.readouterr().out)
    assert ("error" in found) == bool(fails)
    if not fails:
        assert found["planted"]["until_ms"] > drill.now_ms()
        assert (found["changed"], found["began"], len(found["left"])) == (True, None, 2)


# --- in the place of the agent

LAUNCHER = """\
import os, sys, time
open(sys.argv[0] + ".ran", "w").write(repr((os.getpid(), sys.argv[1:], __name__)))
time.sleep({seconds})
"""


@pytest.fixture
def agent(tmp_path):
    """An agent that writes down that it ran, and the folder in which its drill is."""
    release = tmp_path / "opt/tcmicro/releases/0.1.1/bin"
    release.mkdir(parents=True)
    (release / "tc-micro").touch(0o755)
    (tmp_path / "opt/tcmicro/current").symlink_to("releases/0.1.1")
    (tmp_path / "run/tcmicro").mkdir(parents=True)
    home = tmp_path / "run/tcmicro-drill"
    home.mkdir()
    (home / "faults.py").write_text((PROGRAMS / "faults.py").read_text())
    return tmp_path


def started(agent, plan, seconds=0):
    """Exit code of an agent that would end after so many seconds, started as its service does; what it wrote down."""
    launcher = agent / "opt/tcmicro/releases/0.1.1/bin/tc-micro"
    launcher.write_text("#!/usr/bin/python3\n" + LAUNCHER.format(seconds=seconds))
    home = agent / "run/tcmicro-drill"
    if plan is not None:
        (home / "fault.json").write_text(plan if isinstance(plan, str) else json.dumps(plan))
    code = (
        f"import sys; sys.path.insert(0, {str(home)!r}); import faults; from pathlib import Path; "
        f"faults.main(Path({str(agent)!r}))"
    )
    process = subprocess.Popen([sys.executable, "-c", code])
    ended = process.wait(90)
    ran = agent / "opt/tcmicro/releases/0.1.1/bin/tc-micro.ran"
    return ended, process.pid, ran.read_text() if ran.exists() else ""


def test_fault_is_in_the_very_process_that_the_service_started(agent):
    code, pid, ran = started(agent, wanted(amount=3), seconds=60)
    assert code == 1
    assert ran == repr((pid, ["run"], "__main__"))
    told = json.loads((agent / "run/tcmicro/drill.json").read_text())
    assert told == {"drill": "d1", "problem": ""}


@pytest.mark.parametrize(
    "plan",
    [
        None,
        "{",
        "[]",
        wanted(-1, amount=0),
        wanted(version="0.1.0", amount=0),
        wanted(fault="disk_full"),
        {"fault": "crash_loop", "version": "0.1.1"},
    ],
    ids=["none", "no JSON", "no plan", "over", "another release", "of the host", "half a plan"],
)
def test_else_the_agent_runs_as_it_is(agent, plan):
    code, pid, ran = started(agent, plan)
    assert (code, ran) == (0, repr((pid, ["run"], "__main__")))
    assert not (agent / "run/tcmicro/drill.json").exists()


def test_fault_that_cannot_begin_is_told_and_the_agent_runs(agent):
    code, _, ran = started(agent, wanted(fault="packet_drop", amount="x"))
    assert (code, bool(ran)) == (0, True)
    assert "TypeError" in json.loads((agent / "run/tcmicro/drill.json").read_text())["problem"]


def test_leak_and_load_end_with_their_time(monkeypatch):
    begun = []
    monkeypatch.setattr(faults, "beside", lambda act: (act(), begun.append(act)))
    for fault in (faults.memory_leak, faults.cpu_burn):
        fault(wanted(0, amount=50))
    assert len(begun) == 2


def test_programs_for_the_kernel_are_whole():
    for code in (faults.dropping(20, 2**62), faults.holding(100_000, 2**62)):
        assert len(code) % 8 == 0
        assert code[-8] == 0x95  # exit
