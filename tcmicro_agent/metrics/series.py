"""How many series there are, kept within a bound; and the names of the earlier system beside ours. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from prometheus_client.core import Metric as Exposed
from prometheus_client.core import UnknownMetricFamily
from prometheus_client.samples import Sample

from tcmicro_agent.metrics import catalogue
from tcmicro_agent.metrics.catalogue import ALIASES, PREFIX, Fold, Metric

MOST = 2000  # of one host
OTHER = "other"
FOLDS = {PREFIX + metric.name: metric.fold for metric in catalogue.CATALOGUE if metric.fold}


def bounded(families: Sequence[Exposed], most: int = MOST) -> tuple[list[Exposed], int]:
    """The families with at most `most` samples, and how many were folded into others.

    The first of a family stay, in the order they came, so that who is told apart does not change with the counts.
    """
    fixed = sum(len(family.samples) for family in families if family.name not in FOLDS)
    large = {family.name: len(family.samples) for family in families if family.name in FOLDS}
    room = shares(large, max(most - fixed, 0))
    kept = [
        _fold(family, room[family.name]) if family.name in room else family for family in families
    ]
    return kept, sum(_excess(large[name], room[name]) for name in large)


def shares(wanted: dict[str, int], room: int) -> dict[str, int]:
    """How many each gets: the small ones all they want, the others the same."""
    given: dict[str, int] = {}
    for left, name in zip(range(len(wanted), 0, -1), sorted(wanted, key=lambda n: wanted[n])):
        given[name] = min(wanted[name], max(room, 0) // left)
        room -= given[name]
    return given


def _excess(count: int, room: int) -> int:
    """How many go into one, which takes a place itself."""
    return count - max(room - 1, 0) if count > room else 0


def _fold(family: Exposed, room: int) -> Exposed:
    excess = _excess(len(family.samples), room)
    if not excess:
        return family
    kept, rest = family.samples[:-excess], family.samples[-excess:]
    values = [sample.value for sample in rest]
    value = min(values) if FOLDS[family.name] is Fold.LEAST else sum(values)
    other = Sample(rest[0].name, dict.fromkeys(rest[0].labels, OTHER), value)
    folded = Exposed(family.name, family.documentation, family.type)
    folded.samples = [*kept, other]
    return folded


def aliases(families: Iterable[Exposed]) -> list[Exposed]:
    """What the earlier system called them, as sums over the labels it did not have."""
    found = {family.name: family for family in families}
    return [
        _alias(name, metric, labels, found[PREFIX + metric.name])
        for name, (metric, labels) in ALIASES.items()
        if PREFIX + metric.name in found
    ]


def _alias(name: str, metric: Metric, labels: tuple[str, ...], family: Exposed) -> Exposed:
    sums: defaultdict[tuple[str, ...], float] = defaultdict(float)
    for sample in family.samples:
        sums[tuple(sample.labels[label] for label in labels)] += sample.value
    alias = UnknownMetricFamily(PREFIX + name, f"Old name of {metric.exposed}", labels=labels)
    for values, total in sums.items():
        alias.add_metric(values, total)
    return alias
