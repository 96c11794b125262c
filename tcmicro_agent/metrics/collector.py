"""One scrape: every part read anew, each failing alone, and all of it within the bound of series."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from prometheus_client import ProcessCollector
from prometheus_client.core import Metric as Exposed
from prometheus_client.registry import Collector

from tcmicro_agent import messages
from tcmicro_agent.config import Config
from tcmicro_agent.errors import TcmicroError
from tcmicro_agent.guard import GuardError
from tcmicro_agent.journal import Journal
from tcmicro_agent.metrics import catalogue as c
from tcmicro_agent.metrics import datapath, itself, policy, pull, series
from tcmicro_agent.metrics.vitals import Vitals
from tcmicro_agent.probe import Probe
from tcmicro_agent.pull_book import PullBook
from tcmicro_agent.reconcile import Agent
from tcmicro_agent.sweep import Sweep
from tcmicro_agent.watch import Watch

Part = Callable[[], Iterable[Exposed]]
OWN_SERIES = 2  # those that tell of the bound itself


@dataclass(frozen=True)
class Sources:
    """Where a scrape looks. `agent`: with handles of its own, as a scrape runs beside the loop; `config`: the present
    one; `repairs`: by interface and direction."""

    agent: Agent
    config: Callable[[], Config]
    probe: Probe
    journal: Journal
    vitals: Vitals
    sweep: Sweep
    watch: Watch
    repairs: Mapping[tuple[str, str], int]
    requests: Mapping[str, int]
    sample: Callable[[], Mapping[str, float]]


class AgentCollector(Collector):
    """Holds nothing but what is the same from scrape to scrape."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources
        self._policy = policy.PolicyPart(sources.agent)
        self._maps = datapath.Maps(sources.agent.kernel, sources.sweep)
        self._process = ProcessCollector(registry=None)
        self._failures: Counter[str] = Counter(dict.fromkeys(self._parts(), 0))
        self._said: dict[str, str] = {}

    def collect(self) -> Iterator[Exposed]:
        families: list[Exposed] = []
        for name, part in self._parts().items():
            families += self._attempt(name, part)
        families.append(c.several(c.SCRAPE_FAILURES, self._failures))
        if self._sources.config().metrics.aliases:
            families += series.aliases(families)
        kept, folded = series.bounded(families, series.MOST - OWN_SERIES)
        yield from kept
        told = sum(len(family.samples) for family in kept) + OWN_SERIES
        yield c.single(c.SERIES, told)
        yield c.single(c.SERIES_FOLDED, folded)

    def _parts(self) -> dict[str, Part]:
        found = self._sources
        kernel, probe = found.agent.kernel, found.probe
        return {
            "enforcement": lambda: itself.enforcement(probe.look(), probe.probes, found.repairs),
            "agent": lambda: itself.agent(probe.look(), found.vitals, found.journal.counts),
            "requests": lambda: [c.several(c.REQUESTS, found.requests)],
            "policy": lambda: self._policy.collect(found.config(), found.vitals.changes),
            "pull": lambda: pull.pulls(PullBook(found.agent.store)),
            "packets": lambda: datapath.packets(kernel),
            "sessions": lambda: datapath.sessions(kernel, found.sweep),
            "events": lambda: datapath.events(kernel),
            "floods": lambda: datapath.floods(found.agent, found.watch),
            "maps": self._maps.collect,
            "programs": lambda: datapath.programs(kernel),
            "sample": lambda: [c.several(c.SAMPLE, found.sample())],
            "process": self._process.collect,
        }

    def _attempt(self, name: str, part: Part) -> list[Exposed]:
        """A part that fails is missing and counted; the log tells it once."""
        try:
            found = list(part())
            self._said.pop(name, None)
        except (TcmicroError, GuardError, OSError) as exc:
            self._failures[name] += 1
            if self._said.get(name) != str(exc):
                self._sources.journal.say(messages.SCRAPE_FAILED(part=name, problem=exc))
            self._said[name] = str(exc)
            return []
        return found
