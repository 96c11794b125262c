# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a plan cannot detect, said before it begins, with numbers. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import comb

from ansible_collections.tcmicro.fleet.plugins.plugin_utils.planner.controls import LEAST
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.planner.hosts import Host
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.planner.picking import cap
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.tables import count

SURE = 0.95
MOST_CLASSES = 10  # named one by one; the rest is counted


@dataclass(frozen=True)
class Seen:
    """A class of hosts: how many there are, and in which wave and at which exposure it is seen first."""

    class_name: str
    hosts: int
    first_wave: int
    exposure: int


def coverage(waves: Sequence[Sequence[Host]]) -> list[Seen]:
    """Each class, in the order they are seen in."""
    first: dict[str, tuple[int, int]] = {}
    sizes: dict[str, int] = {}
    exposure = 0
    for number, wave in enumerate(waves, 1):
        exposure += len(wave)
        for host in wave:
            first.setdefault(host.class_name, (number, exposure))
            sizes[host.class_name] = sizes.get(host.class_name, 0) + 1
    return [Seen(name, sizes[name], *first[name]) for name in first]


def bound(clean: int) -> float:
    """The largest share of failing hosts that `clean` hosts without a fault leave likely (95 %): about 3 / clean."""
    return 1 - (1 - SURE) ** (1 / clean)


def blind(
    waves: Sequence[Sequence[Host]], controls: Sequence[Sequence[Host]], seen: Sequence[Seen]
) -> list[str]:
    """One line for each thing that goes undetected, and until when."""
    return [
        *_bounds(waves),
        *_late_classes(seen, sum(map(len, waves))),
        *_comparisons(waves, controls),
        *_domains(waves),
    ]


def _bounds(waves: Sequence[Sequence[Host]]) -> Iterator[str]:
    clean = 0
    for number, wave in enumerate(waves[:-1], 1):
        clean += len(wave)
        yield (
            f"after wave {number}, {clean} clean host{'s' * (clean != 1)} only bound{'s' * (clean == 1)} the share of failing hosts"
            f" below {100 * bound(clean):.2g} % (95 %)"
        )


def _late_classes(seen: Sequence[Seen], fleet: int) -> Iterator[str]:
    late = [entry for entry in seen if entry.first_wave > 1]
    for entry in late[:MOST_CLASSES]:
        yield (
            f"class {entry.class_name} ({count(range(entry.hosts))}) is first seen in wave {entry.first_wave}:"
            f" a fault of it alone is missed until then (P = 1, {100 * entry.hosts / fleet:.2g} % of the fleet)"
        )
    if late[MOST_CLASSES:]:
        hosts = sum(entry.hosts for entry in late[MOST_CLASSES:])
        yield f"so are {len(late) - MOST_CLASSES} more classes ({hosts} hosts), see the coverage of the plan"


def _comparisons(
    waves: Sequence[Sequence[Host]], controls: Sequence[Sequence[Host]]
) -> Iterator[str]:
    """A rank test of n hosts against m cannot say less than 1 in (n + m over n)."""
    for number, (wave, others) in enumerate(zip(waves, controls, strict=True), 1):
        if not others:
            yield f"wave {number} has no controls: only what its hosts say of themselves is judged"
            continue
        if len(others) < LEAST:
            chances = comb(len(wave) + len(others), len(wave))
            yield (
                f"wave {number} has {len(others)} of {LEAST} controls: a difference that chance makes once in"
                f" {chances:,} comparisons is the surest there is".replace(",", " ")
                if chances < 1000
                else f"wave {number} has {len(others)} of {LEAST} controls: small differences are missed"
            )
        alone = sorted({host.class_name for host in wave} - {host.class_name for host in others})
        if alone:
            yield f"wave {number} has no control of class {some(alone)}"


def _domains(waves: Sequence[Sequence[Host]]) -> Iterator[str]:
    """Where more than a tenth of a failure domain changes at once, and hosts of which no domain is known."""
    sizes = Counter(host.domain for wave in waves for host in wave)
    unknown = sizes.pop("", 0)
    for number, wave in enumerate(waves, 1):
        changed = Counter(host.domain for host in wave)
        over = {name: n for name, n in changed.items() if name and n > cap(sizes[name])}
        if over:
            worst = max(sorted(over), key=lambda name: over[name] / sizes[name])
            yield (
                f"wave {number} changes more than a tenth of {len(over)} failure domain{'s' * (len(over) != 1)} at"
                f" once, at most {over[worst]} of the {sizes[worst]} hosts of {worst}"
            )
    if unknown:
        yield (
            f"of {count(range(unknown))} no failure domain is known (tcmicro_site, tcmicro_rack): a fault of a place"
            " and one of the release look alike there"
        )


def some(names: Sequence[str]) -> str:
    """The first of them, and how many more there are."""
    more = len(names) - MOST_CLASSES
    return ", ".join(names[:MOST_CLASSES]) + (f" and {more} more" if more > 0 else "")
