"""Which policy rules, where it stands, and what each of its rules decided."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import product

from prometheus_client.core import Metric as Exposed

from tcmicro_agent import abi, guard
from tcmicro_agent.config import Config
from tcmicro_agent.datapath import trial
from tcmicro_agent.metrics import catalogue as c
from tcmicro_agent.metrics.vitals import Changes
from tcmicro_agent.plan import Observed
from tcmicro_agent.policy.model import Mode
from tcmicro_agent.reconcile import Agent
from tcmicro_agent.store import Books, Summary

SHOWN = 12  # characters of a digest


@dataclass(frozen=True)
class Rules:
    """What metrics need of a bundle: (uid, action, counter) of its rules and defaults, and when rules end."""

    counted: tuple[tuple[str, str, int], ...] = ()
    ends: tuple[tuple[str, int], ...] = ()
    rules: Mapping[str, int] = field(default_factory=dict)  # by mode
    policies: Mapping[str, int] = field(default_factory=dict)


class PolicyPart:
    """Looks at the rules once per generation and at the books once per change: on a host with many both take long."""

    def __init__(self, agent: Agent) -> None:
        self._agent = agent
        self._rules: tuple[tuple[int, str, abi.Mode], Rules] | None = None
        self._books: tuple[int, Books] | None = None

    def collect(self, config: Config, changes: Changes) -> Iterator[Exposed]:
        observed, books = self._agent.observe(), self._read_books()
        rules = self._read_rules(observed, books)
        yield c.states(c.MODE_INFO, config.mode.value, (mode.value for mode in Mode))
        yield from self._standing(observed, books)
        yield from _content(rules)
        yield from self._hits(rules)
        yield c.several(c.POLICY_CHANGES, dict(changes.outcomes))
        yield c.single(c.LOCAL_RULES, len(self._agent.store.local().rules))
        yield c.single(c.RELEASE_PENDING, self._release_pending())
        yield from _staged(observed)
        yield _compared(trial.comparisons(self._agent.kernel))

    def _standing(self, observed: Observed, books: Books) -> Iterator[Exposed]:
        live, staged, revisions = observed.live, observed.staged, c.POLICY_REVISION.family()
        applied = {"confirmed": books.confirmed, "previous": books.previous, "staged": staged}
        digests = {"live": live.digest if live.generation else ""}
        digests.update((state, found.digest if found else "") for state, found in applied.items())
        for state, digest in digests.items():
            if digest:
                revisions.add_metric([state, digest[:SHOWN]], 1)
        left_ms = observed.word.deadline_ms - observed.now_ms if observed.pending else 0
        yield c.single(c.POLICY_GENERATION, live.generation)
        yield revisions
        yield c.single(c.POLICY_PENDING, observed.pending)
        yield c.single(c.POLICY_DEADLINE, max(left_ms, 0) / 1000)
        yield c.single(c.POLICY_LAST_APPLY, self._agent.store.stamps()[0] / 1e9)

    def _hits(self, rules: Rules) -> Iterator[Exposed]:
        hits, ends = c.RULE_HITS.family(), c.RULE_EXPIRY.family()
        counted = self._agent.kernel.rule_hits([number for _, _, number in rules.counted])
        for uid, action, number in rules.counted:
            hits.add_metric([uid, action], counted[number][0])
        for uid, end in rules.ends:
            ends.add_metric([uid], end)
        yield from (hits, ends)

    def _release_pending(self) -> bool:
        found = guard.Host(self._agent.store.var.parents[2]).read()
        return found is not None and found.state is guard.State.PENDING

    def _read_books(self) -> Books:
        stamp = self._agent.store.stamps()[0]
        if self._books is None or self._books[0] != stamp:
            self._books = stamp, self._agent.store.books()
        return self._books[1]

    def _read_rules(self, observed: Observed, books: Books) -> Rules:
        live = observed.live
        key = (live.generation, live.digest, live.mode)
        if self._rules is None or self._rules[0] != key:
            kept = self._agent.store.summary(live.digest) if live.generation else None
            self._rules = key, _rules(kept, books, live.mode) if kept else Rules()
        return self._rules[1]


def _rules(kept: Summary, books: Books, slot: abi.Mode) -> Rules:
    """`slot` is the mode of the slot: in monitor none of its policies enforces."""

    def of(mode: Mode) -> str:
        return (mode if slot is abi.Mode.PROTECT else Mode.MONITOR).value

    rules: Counter[str] = Counter()
    for mode, count in kept.modes.items():
        rules[of(mode)] += count
    numbers = books.numbers
    return Rules(
        counted=tuple((u, a, numbers[u]) for u, a in kept.actions if u in numbers),
        ends=kept.ends,
        rules=rules,
        policies=Counter(found for _, found in {(name, of(m)) for name, m in kept.policies}),
    )


def _content(rules: Rules) -> Iterator[Exposed]:
    for metric, counts in ((c.POLICY_RULES, rules.rules), (c.POLICIES, rules.policies)):
        yield c.several(metric, {mode.value: counts.get(mode.value, 0) for mode in Mode})


def _staged(observed: Observed) -> Iterator[Exposed]:
    staged = observed.staged
    share = observed.trial.share_at(observed.now_ms) if staged else 0
    yield c.single(c.STAGED_GENERATION, staged.generation if staged else 0)
    yield c.single(c.STAGED_SHARE, share / 100)


def _compared(counted: tuple[int, ...] | list[int]) -> Exposed:
    compared = c.STAGED_COMPARISONS.family()
    for direction, live, staged in product(abi.Direction, abi.Verdict, abi.Verdict):
        labels = [part.name.lower() for part in (direction, live, staged)]
        compared.add_metric(labels, counted[abi.comparison_index(direction, live, staged)])
    return compared
