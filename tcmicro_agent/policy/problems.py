"""Faults of policies with their places, collected so that all are reported at once."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from tcmicro_agent.errors import PolicyError
from tcmicro_agent.policy.codes import Code

BREAK = re.compile("\r\n|[\n\r\x85\u2028\u2029]")  # where YAML begins a new line


@dataclass(frozen=True, order=True)
class Where:
    """A place in a policy file; line and column count from 1, and are 0 where the whole file is meant."""

    file: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}" if self.line else self.file


@dataclass(eq=False)
class Fault(Exception):
    """One fault; readers raise it and whoever asked for the value adds it to the problems."""

    where: Where
    code: Code
    text: str

    def __str__(self) -> str:
        return f"{self.where}: {self.code.severity.value} {self.code.value}: {self.text}"


class PolicyFaults(PolicyError):
    """Faults in order of files and lines, each once; `problems` holds one line for each."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        ordered = sorted(faults, key=lambda fault: (fault.where, fault.code.value))
        self.faults = tuple({str(fault): fault for fault in ordered}.values())
        super().__init__([str(fault) for fault in self.faults])


class Problems:
    """All faults found so far, over every file."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []

    def add(self, where: Where, code: Code, text: str) -> None:
        self._faults.append(Fault(where, code, text))

    def take(self, fault: Fault) -> None:
        self._faults.append(fault)

    def faults(self) -> tuple[Fault, ...]:
        """In order of files and lines, each once."""
        return PolicyFaults(self._faults).faults

    def error(self) -> PolicyFaults:
        """All of them, to be raised."""
        return PolicyFaults(self._faults)

    def raise_any(self) -> None:
        """PolicyFaults with all of them, if there are any."""
        if self._faults:
            raise self.error()
