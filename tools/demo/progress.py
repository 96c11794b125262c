"""What the demo shows while it runs: a line per event with its time, and one live line on a terminal."""

from __future__ import annotations

import time

from rich.console import Console
from rich.markup import escape
from rich.status import Status
from rich.table import Table

from tools.demo.scene import Result

MARKS = {"ok": "[green]ok[/]", "failed": "[red]failed[/]", "not run": "[yellow]not run[/]"}


class Progress:
    """rich leaves out colour for NO_COLOR and everything but plain lines where there is no terminal."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.start = time.monotonic()
        self.status: Status | None = None

    def begin(self, title: str) -> None:
        self.start = time.monotonic()
        self.console.print(f"[bold]{escape(title)}[/]", highlight=False)
        if self.console.is_terminal:
            self.status = self.console.status("")
            self.status.start()

    def say(self, text: str) -> None:
        self.live("")
        elapsed = time.monotonic() - self.start
        self.console.print(f"  {elapsed:6.1f} s  {escape(text)}", highlight=False, soft_wrap=True)

    def live(self, text: str) -> None:
        if self.status:
            self.status.update(f"[dim]{escape(text[: self.console.width - 4])}[/]")

    def end(self, result: Result) -> None:
        if self.status:
            self.status.stop()
            self.status = None
        line = f"  {result.seconds:6.1f} s  {MARKS[result.verdict]}"
        if result.fault:
            line += f": {escape(result.fault)}"
        self.console.print(line, highlight=False, soft_wrap=True)

    def table(self, results: list[Result]) -> None:
        table = Table("step", "what it shows", "result", "seconds", highlight=False)
        for result in results:
            seconds = f"{result.seconds:.1f}"
            shows = escape(result.step.shows)
            table.add_row(str(result.step.number), shows, MARKS[result.verdict], seconds)
        self.console.print(table)
