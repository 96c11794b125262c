"""A fault on purpose, on one host and for a while: so that a rollout can show that it finds it.

`plant` arms the end first and then puts the fault in place; `remove` takes everything away and says what is left. Both
may be cut at any line and repeated. All of it is below /run, so a reboot ends it too. Python 3.9, standard library.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

AGENT = "tcmicro-agent.service"
END = "tcmicro-drill-end"  # a timer that removes everything
MOUNT = "tcmicro-drill"  # by what our file system is known
BLOCK = 4096
REFUSED = 3
DROPIN = """\
# A drill of a rollout is under way. It ends by itself: tcmicro-drill-end.timer.
[Service]
ExecStart=
ExecStart=/usr/bin/python3 -I {program} run
"""

Plan = dict[str, Any]
Run = Callable[[Sequence[str]], str]


class DrillError(Exception):
    """It was not done; the message says why."""


def now_ms() -> int:
    """Since boot; no clock that somebody sets."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000


def command(words: Sequence[str]) -> str:
    done = subprocess.run(words, capture_output=True, text=True, timeout=30, check=False)
    if done.returncode:
        raise DrillError(f"{' '.join(words)}: exit code {done.returncode}: {done.stderr.strip()}")
    return done.stdout


class Host:
    """Everything that a drill has on a host, below `root` (/ on a host)."""

    def __init__(self, root: Path = Path("/"), run: Run = command) -> None:
        self.home = root / "run/tcmicro-drill"
        self.plan = self.home / "fault.json"
        self.dropin = root / "run/systemd/system/tcmicro-agent.service.d/tcmicro-drill.conf"
        self.began = root / "run/tcmicro/drill.json"
        self.state = root / "var/lib/tcmicro"
        self.proc = root / "proc"
        self.run = run

    # --- what there is

    def read(self) -> Plan | None:
        """The fault that is planted; None for none, and for what is no plan."""
        with suppress(OSError, ValueError):
            found = json.loads(self.plan.read_text())
            return found if isinstance(found, dict) and "until_ms" in found else None
        return None

    def evidence(self) -> Any:
        """That the fault began in the agent's process, or what kept it from that; None where it never ran."""
        with suppress(OSError, ValueError):
            return json.loads(self.began.read_text())
        return None

    def left(self) -> list[str]:
        """What of a drill is on this host."""
        files = [str(path) for path in (self.dropin, self.plan, self.began) if path.exists()]
        mounts = [f"file system on {point}" for point in self.mounted(self.proc / "self")]
        process = ["the agent's process has it"] if self.infected() else []
        return [*files, *mounts, *process]

    def mounted(self, process: Path) -> list[str]:
        """Where a process sees our file system, the last place first."""
        with suppress(OSError):
            lines = [line.split() for line in (process / "mountinfo").read_text().splitlines()]
            return [words[4] for words in reversed(lines) if words[words.index("-") + 2] == MOUNT]
        return []

    def infected(self) -> bool:
        """Whether the agent was started with a fault in it, or still sees the full file system."""
        with suppress(DrillError, OSError, ValueError):
            words = ["systemctl", "show", "--property=MainPID", "--value", AGENT]
            process = self.proc / str(int(self.run(words)))
            ours = b"tcmicro-drill" in (process / "cmdline").read_bytes()
            return ours or bool(self.mounted(process))
        return False

    # --- what is done

    def plant(self, wanted: Plan) -> bool:
        """False where it is planted already. Raises DrillError where another drill is under way."""
        there = self.read()
        if there and now_ms() < there["until_ms"]:
            if there["drill"] != wanted["drill"]:
                raise DrillError(f"drill {there['drill']} ({there['fault']}) is under way here")
            return False
        self.remove()
        self._arm(wanted)
        self.plan.write_text(json.dumps(wanted))
        if wanted["how"] == "disk":
            self._fill()
        if wanted["how"] == "process":
            self.dropin.parent.mkdir(parents=True, exist_ok=True)
            self.dropin.write_text(DROPIN.format(program=self.home / "faults.py"))
            self.run(["systemctl", "daemon-reload"])
        return True

    def _arm(self, wanted: Plan) -> None:
        """The end is certain before anything begins."""
        seconds = max(1, (wanted["until_ms"] - now_ms()) // 1000)
        timer = [f"--unit={END}", f"--on-active={seconds}", "--timer-property=AccuracySec=1s"]
        act = ["/usr/bin/python3", "-I", str(self.home / "drill.py"), "remove"]
        self.run(["systemd-run", "--quiet", "--collect", *timer, *act])

    def _fill(self) -> None:
        """A full file system with all that is there now, over the agent's own; what is below it stays as it is."""
        place = self.home / "state"
        place.mkdir(exist_ok=True)
        sizes = [file.lstat().st_size for file in self.state.rglob("*")]
        size = sum(sizes) + BLOCK * (len(sizes) + 16)
        self.run(["mount", "-t", "tmpfs", "-o", f"mode=0700,size={size}", MOUNT, str(place)])
        shutil.copytree(self.state, place, dirs_exist_ok=True, symlinks=True)
        with suppress(OSError), (place / "ballast").open("wb", buffering=0) as ballast:
            for _ in range(size // BLOCK):
                ballast.write(bytes(BLOCK))
        self.run(["mount", "--bind", str(place), str(self.state)])
        self.run(["umount", str(place)])

    def remove(self) -> bool:
        """The service's own start first, so that it never starts what is not there. Whether there was anything."""
        found = self.left()
        if self.dropin.exists():
            self.dropin.unlink()
            with suppress(OSError):  # somebody else's are there
                self.dropin.parent.rmdir()
            self.run(["systemctl", "daemon-reload"])
        for point in self.mounted(self.proc / "self"):
            self.run(["umount", point])
        if self.infected():
            self.run(["systemctl", "restart", AGENT])
        for path in (self.began, self.plan):
            path.unlink(missing_ok=True)
        with suppress(DrillError):  # there is none, or it is what has started this
            self.run(["systemctl", "stop", f"{END}.timer"])
        return bool(found)


def act(arguments: argparse.Namespace, host: Host) -> dict[str, Any]:
    """One verb; the document that says how it went."""
    evidence = host.evidence()
    if arguments.verb == "plant":
        expires_ms = int(arguments.plan["expires_s"]) * 1000
        changed = host.plant({**arguments.plan, "until_ms": now_ms() + expires_ms})
    else:
        changed = arguments.verb == "remove" and host.remove()
    return {"changed": changed, "planted": host.read(), "began": evidence, "left": host.left()}


def main(words: Sequence[str] | None = None, host: Host | None = None) -> int:
    parser = argparse.ArgumentParser(prog="tcmicro-drill", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("show", help="say what of a drill is here")
    verbs.add_parser("remove", help="take it away")
    verbs.add_parser("plant", help="put it in place").add_argument("plan", type=json.loads)
    try:
        print(json.dumps(act(parser.parse_args(words), host or Host())))
    except (DrillError, OSError, subprocess.TimeoutExpired) as exc:
        print(json.dumps({"error": str(exc)}))
        return REFUSED if isinstance(exc, DrillError) else 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
