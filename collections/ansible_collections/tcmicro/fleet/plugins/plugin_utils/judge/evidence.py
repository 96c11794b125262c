# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""All that is known of a wave and of the hosts it is compared with, and in which windows of time to read it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from ansible_collections.tcmicro.fleet.plugins.plugin_utils import gate
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.judge.samples import Record, Window
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.looks import Look, trouble

SILENT = Record(0.0, ())
CHANGE_S = 300.0  # what a change takes where nobody noted when it began


@dataclass(frozen=True)
class Evidence(gate.Evidence):
    """`seconds`: of the whole bake, what it was extended by included; `extension`: how often it was. `before` and
    `after` hold the looks at the controls too. `addresses`: of the hosts of the wave, as others know them.
    `began`: what hosts said when the staged policy was given the share of flows that is judged. `source_error`: why
    another source of samples gave none.
    """

    hosts: tuple[str, ...] = ()
    controls: tuple[str, ...] = ()
    extension: int = 0
    addresses: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    expected: tuple[Mapping[str, Any], ...] = ()
    began: Mapping[str, Any] = field(default_factory=dict)
    source_error: str = ""


@dataclass(frozen=True)
class Subject:
    """What one host recorded. `began`: when its bake did. `records`: its release is one that records samples."""

    host: str
    before: Record
    after: Record
    began: float
    records: bool

    def earlier(self, seconds: float) -> Window:
        return Window(self.before.now - seconds, self.before.now)

    def bake(self, seconds: float, share: float = 1.0, skip: float = 0.0) -> Window:
        """The bake up to a share of it, without its first seconds."""
        return Window(self.began + skip, self.began + share * seconds)


def subjects(evidence: Evidence) -> tuple[list[Subject], list[Subject]]:
    """The hosts of the wave, and their controls. Raises SampleError where a host sent something else than samples."""
    reader = _Reader(evidence)
    wave, controls = (
        [reader.subject(host) for host in sorted(group)]
        for group in (evidence.hosts, evidence.controls)
    )
    return wave, controls


class _Reader:
    """The looks of the evidence, each read once."""

    def __init__(self, evidence: Evidence) -> None:
        self._evidence = evidence
        named = (*evidence.hosts, *evidence.controls)
        self._before = {host: _record(evidence.before.get(host)) for host in named}
        self._after = {host: _record(evidence.after.get(host)) for host in named}
        self._gap = self._change_s()

    def subject(self, host: str) -> Subject:
        """Who recorded may be asked only once, afterwards: the time before ended when the change began."""
        start, end, seconds = self._before[host], self._after[host], self._evidence.seconds
        if start is SILENT and end is not SILENT:
            start = end.until(end.now - seconds - self._gap)
        looks = (self._evidence.before.get(host), self._evidence.after.get(host))
        records = any(_asked(look) is not None for look in looks)
        return Subject(host, start, end, end.now - seconds, records)

    def _change_s(self) -> float:
        """Between the look before the change and the begin of the bake: the change itself."""
        known = self._pairs(self._evidence.hosts) or self._pairs(self._evidence.controls)
        gaps = [after.now - before.now - self._evidence.seconds for before, after in known]
        return max(median(gaps), 0.0) if gaps else CHANGE_S

    def _pairs(self, hosts: Iterable[str]) -> list[tuple[Record, Record]]:
        """Both records of the hosts that were asked twice."""
        pairs = [(self._before[host], self._after[host]) for host in hosts]
        return [pair for pair in pairs if SILENT not in pair]


def _record(look: Look | None) -> Record:
    found = _asked(look)
    return Record.read(found) if found else SILENT


def _asked(look: Look | None) -> Any:
    """What a look says of samples; None where it failed, did not ask, or met a release that records none."""
    if look is None or trouble(look):
        return None
    return look.get("samples")
