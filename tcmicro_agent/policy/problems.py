"""Faults of policies with their places, collected so that all are reported at once."""

from __future__ import annotations

from dataclasses import dataclass

from tcmicro_agent.errors import PolicyError
from tcmicro_agent.policy.codes import Code


@dataclass(frozen=True, order=True)
class Where:
    """A place in a policy file; line and column count from 1."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(eq=False)
class Fault(Exception):
    """One fault; readers raise it and whoever asked for the value adds it to the problems."""

    where: Where
    code: Code
    text: str

    def __str__(self) -> str:
        return f"{self.where}: error {self.code.value}: {self.text}"


class Problems:
    """All faults found so far, over every file."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []

    def add(self, where: Where, code: Code, text: str) -> None:
        self._faults.append(Fault(where, code, text))

    def take(self, fault: Fault) -> None:
        self._faults.append(fault)

    def lines(self) -> list[str]:
        """One line per distinct fault, in order of files and lines."""
        ordered = sorted(self._faults, key=lambda fault: (fault.where, fault.code.value))
        return list(dict.fromkeys(str(fault) for fault in ordered))

    def raise_any(self) -> None:
        """PolicyError with all of them, if there are any."""
        if self._faults:
            raise PolicyError(self.lines())
