"""What the last pull of this host came to."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import Metric as Exposed

from tcmicro_agent.metrics import catalogue as c
from tcmicro_agent.pull_book import NOTHING, PullBook, Result

NONE = "none"  # of a host that does not pull, or has not yet


def pulls(book: PullBook) -> Iterator[Exposed]:
    found = book.read() if book.pulls else NOTHING
    present = found.result.value if found.at else NONE
    yield c.states(c.PULL_RESULT, present, (NONE, *(result.value for result in Result)))
    yield c.single(c.PULL_LAST, found.at)
    yield c.single(c.PULL_WELL, found.well_at)
