"""Run playbooks as an operator would, each in a process group of its own that can be killed as one."""

from __future__ import annotations

import os
import re
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tools.process import crash

RECAP = re.compile(r"^(\S+)\s+: (ok=.*)$", re.MULTILINE)
PLAYBOOK_LIMIT = 600.0


@dataclass(frozen=True)
class Outcome:
    """How a playbook ended: exit code, counts per host from its recap, all it printed."""

    code: int
    output: str
    log: Path

    @property
    def recap(self) -> dict[str, dict[str, int]]:
        last = self.output.rpartition("PLAY RECAP")[2]
        return {
            host: {key: int(value) for key, value in (pair.split("=") for pair in counts.split())}
            for host, counts in RECAP.findall(last)
        }

    def total(self, count: str) -> int:
        return sum(counts.get(count, 0) for counts in self.recap.values())

    def failure(self) -> str:
        """The first line that says what went wrong."""
        lines = [
            line for line in self.output.splitlines() if "[ERROR]" in line or "FAILED!" in line
        ]
        return lines[0][:300] if lines else f"see {self.log}"


class Run:
    """A playbook under way; its output goes to a log, task names to `tell`."""

    def __init__(self, argv: list[str], log: Path, tell: Callable[[str], None]) -> None:
        log.parent.mkdir(parents=True, exist_ok=True)
        self.log = log
        self.tell = tell
        self.lines: list[str] = []
        self.process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.log.open("w") as log:
            for line in self.process.stdout:
                self.lines.append(line)
                log.write(line)
                log.flush()
                if line.startswith(("TASK [", "RUNNING HANDLER [")):
                    self.tell(line[line.index("[") + 1 : line.rindex("]")])

    def reached(self, text: str, *, within: float = 60) -> bool:
        """Wait until the output holds a text."""
        end = time.monotonic() + within
        while time.monotonic() < end and self.process.poll() is None:
            if any(text in line for line in self.lines):
                return True
            time.sleep(0.05)
        return any(text in line for line in self.lines)

    def wait(self, timeout: float = PLAYBOOK_LIMIT) -> Outcome:
        try:
            code = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            code = self.process.wait()
            self.lines.append(f"[ERROR]: killed: no end after {timeout:.0f} s\n")
        self.reader.join(5)
        return Outcome(code, "".join(self.lines), self.log)

    def kill(self) -> None:
        """End it with all its workers at once, as a crash of the controller would."""
        if self.process.poll() is None:
            crash(self.process.pid)


class Playbooks:
    """Starts playbooks on the lab's inventory and knows which ones still run. Rollouts get a journal of this run alone:
    what an earlier one left denied, or did not end, stops nothing."""

    def __init__(self, root: Path, logs: Path, tell: Callable[[str], None]) -> None:
        self.root = root
        self.logs = logs
        self.tell = tell
        self.rollouts = logs / f"rollouts-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}"
        self.runs: list[Run] = []

    def start(self, name: str, *words: str) -> Run:
        argv = [str(self.root / ".venv/bin/ansible-playbook"), f"playbooks/{name}.yml", *words]
        argv += ["-e", f"tcmicro_rollouts_dir={self.rollouts}"]
        run = Run(argv, self.logs / f"{len(self.runs) + 1:02}-{name}.log", self.tell)
        self.runs.append(run)
        return run

    def run(self, name: str, *words: str, timeout: float = PLAYBOOK_LIMIT) -> Outcome:
        return self.start(name, *words).wait(timeout)

    def lab(self, state: str, *words: str) -> Outcome:
        return self.run("lab", "-i", "localhost,", "-e", f"lab_state={state}", *words)

    def close(self) -> None:
        for run in self.runs:
            run.kill()
