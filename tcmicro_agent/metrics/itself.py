"""Whether the host enforces, and how the agent is."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping

from prometheus_client.core import Metric as Exposed

from tcmicro_agent import messages
from tcmicro_agent.metrics import catalogue as c
from tcmicro_agent.metrics.vitals import Vitals
from tcmicro_agent.probe import Finding, Why
from tcmicro_agent.version import VERSION


def enforcement(
    found: Finding, probes: int, repairs: Mapping[tuple[str, str], int]
) -> Iterator[Exposed]:
    guarded, missing = len(found.hooks.guarded), len(found.hooks.missing)
    yield c.single(c.ENFORCING, found.enforcing)
    yield c.states(c.ENFORCING_REASON, found.why.value, (why.value for why in Why))
    yield c.single(c.PROBES, probes)
    yield c.single(c.PROBE_ANSWERS, found.asked)
    yield c.several(c.INTERFACES, {"guarded": guarded, "attached": guarded - missing})
    yield c.single(c.DRIFT, len(found.hooks.drift))
    repaired = c.HOOK_REPAIRS.family()
    for labels, count in dict(repairs).items():
        repaired.add_metric(list(labels), count)
    yield repaired


def agent(found: Finding, vitals: Vitals, lines: Mapping[str, int]) -> Iterator[Exposed]:
    info = c.AGENT_INFO.family()
    info.add_metric([VERSION, found.hooks.name, os.uname().release], 1)
    yield info
    yield c.single(c.LOOPS, vitals.loops)
    yield c.single(c.LOOP_SECONDS, vitals.loop_seconds)
    yield c.several(c.FAILING, {step: float(failed) for step, failed in vitals.failing.items()})
    logged = dict(lines)
    yield c.several(c.LOG_LINES, {one.code: logged.get(one.code, 0) for one in messages.CATALOGUE})
    yield c.single(c.CONFIG_RELOAD_FAILED, vitals.config_failed)
    yield c.single(c.CONFIG_LAST_RELOAD, vitals.config_read_s)
