"""What the running agent counts of itself: its loop writes it, scrapes read it."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from tcmicro_agent.store import Store
from tcmicro_agent.transaction import State

CONFIRMED, REVERTED = "confirmed", "reverted"


class Changes:
    """How changes of the policy ended, whoever made them; told from the files that are written then."""

    def __init__(self) -> None:
        self.outcomes: Counter[str] = Counter({CONFIRMED: 0, REVERTED: 0})
        self._stamps: tuple[int, int] | None = None
        self._seen: dict[str, object] = {}

    def look(self, store: Store) -> None:
        """Cheap while nothing was written. What ended before the first look is not counted."""
        stamps = store.stamps()
        if stamps == self._stamps:
            return
        books, transaction = store.books(), store.transaction()
        ended = transaction and transaction.state is State.REVERTED
        seen: dict[str, object] = {
            CONFIRMED: books.confirmed.generation if books.confirmed else None,
            REVERTED: transaction.id if transaction and ended else None,
        }
        if self._stamps is not None:
            self.outcomes.update(
                name for name, value in seen.items() if value and value != self._seen[name]
            )
        self._stamps, self._seen = stamps, seen


@dataclass
class Vitals:
    """`failing`: by step of the loop, whether it failed last; `config_read_s`: since 1970."""

    loops: int = 0
    loop_seconds: float = 0.0
    config_failed: bool = False
    config_read_s: float = 0.0
    failing: dict[str, bool] = field(default_factory=dict)
    changes: Changes = field(default_factory=Changes)
    requests: Counter[str] = field(default_factory=Counter)

    @contextmanager
    def timed(self) -> Iterator[None]:
        """A round of the loop."""
        start = time.monotonic()
        try:
            yield
        finally:
            self.loops += 1
            self.loop_seconds += time.monotonic() - start
