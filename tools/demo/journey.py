"""Take the steps one after the other; what fails ends the journey, what follows is not run."""

from __future__ import annotations

import time
from collections.abc import Sequence

from tools.demo.progress import Progress
from tools.demo.scene import Result, Scene, Step
from tools.process import ToolError


class Journey:
    def __init__(self, scene: Scene, progress: Progress, steps: Sequence[Step]) -> None:
        self.scene = scene
        self.progress = progress
        self.steps = tuple(steps)
        self.results: list[Result] = []

    @property
    def failed(self) -> bool:
        return any(result.verdict == "failed" for result in self.results)

    def take(self, step: Step) -> Result:
        """Act one step and time it; an interrupt counts as failed and goes on up."""
        self.progress.begin(f"{step.number}/{len(self.steps)} {step.name}")
        self.scene.evidence.clear()
        start, fault = time.monotonic(), "interrupted"
        try:
            step.act(self.scene)
            fault = ""
        except ToolError as exc:
            fault = str(exc)
        finally:
            verdict = "failed" if fault else "ok"
            seconds = time.monotonic() - start
            result = Result(step, verdict, seconds, tuple(self.scene.evidence), fault)
            self.results.append(result)
            self.progress.end(result)
        return result

    def reach(self, number: int) -> list[Result]:
        """Take what is left up to a step, unless one has failed; every step's result so far."""
        while not self.failed and len(self.results) < number:
            self.take(self.steps[len(self.results)])
        return self.results

    def all_results(self) -> list[Result]:
        rest = self.steps[len(self.results) :]
        return [*self.results, *(Result(step, "not run") for step in rest)]
