"""The staged policy: how much of the new flows it judges, what is compared since when, and the ops that change it.

The kernel holds what is staged; the file staged.json only remembers where the comparison began. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tcmicro_agent.abi import COMPARISONS, Mode, TrialWord
from tcmicro_agent.errors import BundleError
from tcmicro_agent.jsonutil import Reader, read

DEFAULT_SHARE_S = 60


@dataclass(frozen=True)
class Share:
    """Percent of the new flows that the staged policy judges, and for how many seconds; 0 % only compares."""

    percent: int = 0
    seconds: int = DEFAULT_SHARE_S

    def word(self, slot: int, now_ms: int) -> TrialWord:
        """A share always ends by itself: past the deadline the kernel takes it as 0."""
        deadline = now_ms + self.seconds * 1000 if self.percent else 0
        return TrialWord(slot, self.percent, deadline)


@dataclass(frozen=True)
class Comparison:
    """A staged generation against the live one `against`; `baseline`: what tcm_comparisons held when it began."""

    digest: str
    generation: int
    against: int
    baseline: tuple[int, ...]

    def since(self, counted: Sequence[int]) -> tuple[int, ...]:
        """New flows compared since it began, by abi.comparison_index."""
        return tuple(now - before for now, before in zip(counted, self.baseline))

    def to_document(self) -> dict[str, Any]:
        return {**vars(self), "baseline": list(self.baseline)}


def parse(document: object) -> Comparison:
    return read(document, _read, BundleError)


def _read(doc: Reader) -> Comparison:
    found = Comparison(
        digest=doc.get_str("digest"),
        generation=doc.get_int("generation", 1, 2**32 - 1, "generation"),
        against=doc.get_int("against", 0, 2**32 - 1, "generation"),
        baseline=doc.get_ints("baseline", 0, 2**64 - 1, "count"),
    )
    if len(found.baseline) != COMPARISONS:
        doc.fault("baseline", f"has {len(found.baseline)} counts, not {COMPARISONS}")
    return found


@dataclass(frozen=True)
class StartComparison:
    """What was counted before belongs to other policies."""

    digest: str
    generation: int
    against: int

    def __str__(self) -> str:
        return f"compare generation {self.generation} with {self.against} from now on"


@dataclass(frozen=True)
class SetTrial:
    """The one store that stages a slot, or changes its share."""

    word: TrialWord

    def __str__(self) -> str:
        share = (
            f"judges {self.word.share} % of new flows until {self.word.deadline_ms} ms since boot"
        )
        return f"stage slot {self.word.slot}: {share if self.word.share else 'it only compares'}"


@dataclass(frozen=True)
class EndTrial:
    def __str__(self) -> str:
        return "nothing is staged any more"


@dataclass(frozen=True)
class SetMode:
    """One byte of the header, in place: whatever a packet reads is one of the two modes."""

    slot: int
    mode: Mode

    def __str__(self) -> str:
        return f"put slot {self.slot} into mode {self.mode.name.lower()}"
