"""Looks at everything that can be wrong on this host, and has it judged. One fault hides no other. Reads only."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from tcmicro_agent import diagnosis, documents, guard, preflight, report, service
from tcmicro_agent.config import Config
from tcmicro_agent.datapath import events
from tcmicro_agent.datapath.clock import Clock
from tcmicro_agent.datapath.kernel import Kernel
from tcmicro_agent.diagnosis import FAIL, OK, Facts, Finding
from tcmicro_agent.errors import TcmicroError
from tcmicro_agent.reconcile import Agent
from tcmicro_agent.tables import POLICY_MAPS
from tcmicro_agent.trust import Trust

T = TypeVar("T")
# What the preflight asks of a host before anything is installed, and the rest of doctor says better.
OURS = {"datapath", "policy_change", "metrics.port"}


def examine(agent: Agent) -> dict[str, Any]:
    """The Doctor document."""
    faults: list[Finding] = []

    def attempt(check: str, look: Callable[[], T], otherwise: T) -> T:
        try:
            return look()
        except (TcmicroError, guard.GuardError, OSError) as exc:
            faults.append(Finding(check, FAIL, str(exc), getattr(exc, "hint", "")))
            return otherwise

    # the file may be refused, while what was accepted before is in force
    written = attempt("configuration", agent.store.read_config, None)
    config = written or attempt("configuration", agent.store.config, Config())
    status = attempt("status", lambda: report.status(agent, config), None)
    found = [*_host(config), *faults]
    if status is not None:
        faults.clear()
        facts = _facts(agent, config, status, attempt)
        found = [*found, *diagnosis.judge(facts), *faults]
    return documents.document(
        "Doctor", ok=diagnosis.healthy(found), findings=[vars(finding) for finding in found]
    )


def _facts(agent: Agent, config: Config, status: dict[str, Any], attempt: Any) -> Facts:
    kernel, loaded = agent.kernel, agent.kernel.loaded
    trust = Trust(agent.store)
    return Facts(
        status=status,
        unit=service.state(service.UNITS[0]),
        release_pending=attempt("release", _release_pending, None),
        pressure=attempt("room", lambda: pressure(kernel), {}) if loaded else {},
        events=attempt("events", lambda: vars(events.told(kernel)), {}) if loaded else {},
        failsafe=attempt("failsafe", lambda: len(kernel.failsafe()), 0) if loaded else 0,
        failsafe_wanted=len(config.failsafe_keys()),
        keys=attempt("signatures", lambda: tuple(trust.keys()), ()),
        allow_unsigned=config.allow_unsigned,
        floor=attempt("signatures", trust.floor, 0),
        wall_s=agent.clock.wall_s(),
        synchronised=service.clock_is_synchronised(),
        log=service.errors(),
    )


def _host(config: Config) -> list[Finding]:
    """Of the preflight only what is not as it should be."""
    needs = preflight.Needs(metrics_port=config.metrics.port)
    found = preflight.judge(preflight.collect_facts(needs), needs)
    odd = [
        Finding(f.check, f.level, f"{f.found}, needed: {f.needed}", f.hint)
        for f in found
        if f.level != OK and f.check not in OURS
    ]
    return odd or [Finding("host", OK, "all that the agent needs is there")]


def _release_pending() -> dict[str, Any] | None:
    return report.release_transaction(guard.Host().read(), Clock().boot_ms())


def pressure(kernel: Kernel) -> dict[str, tuple[int, int]]:
    """Entries and room of the maps that can be full."""
    counts, capacities = kernel.sessions.counts(), kernel.sessions.capacities()
    found = {table.map_name: (counts[table], capacities[table]) for table in counts}
    for name in POLICY_MAPS:
        table = kernel.map(name)
        entries = sum(len(keys) // table.key_size for keys, _ in table.chunks())
        found[name] = (entries, table.capacity())
    return found
