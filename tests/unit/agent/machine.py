"""A host for the guard: real files in a directory, systemd and time in memory, and a fault at any effect."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tcmicro_agent.guard import AGENT, TIMER, Guard, GuardError, Host, State, Transaction

OLD, NEW = "0.1.0", "0.1.1"
WITHIN_S = 60


class KilledError(BaseException):
    """The process ends here, without a chance to say or undo anything."""


class RebootError(BaseException):
    """The host ends here."""


FAULTS: dict[str, Callable[[], BaseException]] = {
    "error": lambda: GuardError("no"),
    "kill": KilledError,
    "reboot": RebootError,
}


@dataclass(frozen=True)
class Fault:
    """One effect, counted from 0, that fails before or after it has happened."""

    step: int
    kind: str
    after: bool

    def __str__(self) -> str:
        return f"{self.kind} {'after' if self.after else 'before'} effect {self.step}"


class Machine(Host):
    """Runs OLD, which has both releases on its disk."""

    def __init__(self, root: Path) -> None:
        super().__init__(root, self._systemctl)
        self.fault: Fault | None = None
        self.effects: list[str] = []
        self.now, self.boots = 1_000_000, 1
        self.running: str | None = OLD  # the release that the service runs
        self.loaded = ""  # the unit that systemd knows
        self.ticking = self.failing = False
        for version in (OLD, NEW):
            program = self.home / "releases" / version / "bin/tc-micro"
            program.parent.mkdir(parents=True)
            program.touch(0o755)
            (program.parents[1] / AGENT).write_text(f"unit of {version}")
        for directory in (self.unit.parent, self.file.parent):
            directory.mkdir(parents=True)
        super().point("current", OLD)
        super().install_unit(OLD)
        self.guard = Guard(self)

    # --- what can fail

    def save(self, value: Transaction) -> None:
        self._effect(f"save {value.state.value}", lambda: super(Machine, self).save(value))

    def point(self, link: str, version: str) -> None:
        self._effect(f"{link} → {version}", lambda: super(Machine, self).point(link, version))

    def install_unit(self, version: str) -> None:
        self._effect(f"unit {version}", lambda: super(Machine, self).install_unit(version))

    def flush(self, descriptor: int) -> None:
        """Losing power is not among the faults."""

    def _systemctl(self, words: Sequence[str]) -> None:
        self._effect(" ".join(words), lambda: self._obey([w for w in words if w[0] != "-"]))

    def _effect(self, name: str, act: Callable[[], None]) -> None:
        fault, step = self.fault, len(self.effects)
        self.effects.append(name)
        hit = fault is not None and fault.step == step
        if fault and hit and not fault.after:
            raise FAULTS[fault.kind]()
        act()
        if fault and hit:
            raise FAULTS[fault.kind]()

    def _obey(self, words: list[str]) -> None:
        if words == ["start", TIMER] or words == ["stop", TIMER]:
            self.ticking = words[0] == "start"
        elif words == ["restart", AGENT]:
            self.running, self.failing = self.linked("current"), False
        elif words == ["daemon-reload"]:
            self.loaded = self.unit.read_text()
        elif words == ["is-failed", AGENT] and not self.failing:
            raise GuardError("it is not")

    # --- time

    def now_ms(self) -> int:
        return self.now

    def boot_id(self) -> str:
        return f"boot-{self.boots}"

    def sleep(self, seconds: float) -> None:
        self.now += int(seconds * 1000)

    # --- what happens on a host

    def do(self, act: Callable[[], object], fault: Fault | None = None) -> None:
        """One program that runs into a fault, and what follows from that at once."""
        self.fault, self.effects = fault, []
        try:
            with suppress(GuardError, KilledError):
                act()
        except RebootError:
            self.reboot()
        self.fault = None

    def switch(self) -> None:
        """As the installer does it."""
        self.guard.switch(NEW, WITHIN_S)
        self._obey(["restart", AGENT])

    def reboot(self, fault: Fault | None = None) -> None:
        self.boots += 1
        self.running, self.ticking = None, False
        self.loaded = self.unit.read_text()
        self.do(self.guard.boot, fault)
        if self.running is None:
            self.running, self.ticking = self.linked("current"), True
            self.do(self.guard.tick)

    def left_alone(self) -> None:
        """Nobody comes for a while."""
        for _ in range(100):
            self.sleep(5)
            if self.ticking:
                self.do(self.guard.tick)

    def stands_on(self) -> str:
        """The release, if everything agrees on it."""
        current = self.linked("current")
        found = {current, self.running, self.unit.read_text().removeprefix("unit of ")}
        assert found == {current}, f"running {self.running}, {self.unit.read_text()}"
        return str(current)

    def state(self) -> State | None:
        found = self.read()
        return found.state if found else None
