"""Where a step acts and what it leaves: the scene with its tools, claims with evidence, a result."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tools.demo.lab import Lab
from tools.demo.playbook import Outcome, Playbooks
from tools.demo.traffic import Traffic
from tools.process import ToolError


class StepError(ToolError):
    """A step did not show what it should."""


@dataclass
class Scene:
    root: Path
    lab: Lab
    plays: Playbooks
    traffic: Traffic
    say: Callable[[str], None]
    size: int = 6
    owns_lab: bool = False  # a lab that was up before is not ours to take down
    artifacts: dict[str, Path] = field(default_factory=dict)  # release → file
    evidence: list[str] = field(default_factory=list)  # of the step under way

    def expect(self, claim: str, found: object = "", *, holds: bool) -> None:
        """Note a claim with what was found; end the step when it does not hold."""
        line = f"{claim}: {found}" if found != "" else claim
        if not holds:
            raise StepError(f"not so: {line}")
        self.evidence.append(line)
        self.say(line)

    def succeed(self, claim: str, outcome: Outcome) -> Outcome:
        """A playbook that must end with exit code 0."""
        if outcome.code != 0:
            raise StepError(
                f"{claim}: exit code {outcome.code}: {outcome.failure()} ({outcome.log})"
            )
        self.expect(claim, f"exit code 0, changed={outcome.total('changed')}", holds=True)
        return outcome


@dataclass(frozen=True)
class Step:
    number: int
    name: str
    shows: str
    act: Callable[[Scene], None]


@dataclass(frozen=True)
class Result:
    step: Step
    verdict: str  # ok | failed | not run
    seconds: float = 0.0
    evidence: tuple[str, ...] = ()
    fault: str = ""
