"""Looks with samples: of hosts that do the same thing all the time, until something is changed."""

from __future__ import annotations

import copy
from pathlib import Path

from ansible_collections.tcmicro.fleet.plugins.plugin_utils.judge import specs
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.judge.evidence import Evidence

from tests.plugins.looks import look

GATES = Path(__file__).resolve().parents[2] / "roles/tcmicro_gate/files/gates.yml"
BEFORE_S, BAKE_S, STEP_S = 600, 600, 60
RATES = {
    "denied_ingress": 5.0,
    "denied_egress": 1.0,
    "packets": 1000.0,
    "failsafe": 1.0,
    "events_lost": 0.0,
    "agent_cpu_s": 0.01,
    "agent_faults": 0.0,
    "agent_hook_repairs": 0.0,
    "tcp_segments": 500.0,
    "tcp_retransmits": 5.0,
    "tcp_rtt_us": 30.0,
    "tcp_rtt_measured": 0.1,
}
LEVELS = {
    "unanswered_ingress": 2.0,
    "unanswered_egress": 4.0,
    "agent_rss_bytes": 4e7,
    "occupancy": 0.1,
}


def shipped():
    """All of them enforced, so that each can be seen to work."""
    return specs.parse(GATES.name, GATES.read_text().replace("mode: shadow", "mode: enforce"))


def samples(first_s, last_s, factors=None, boot="b", start=1):
    """Counters grow from 0 at boot; `factors` multiply what is counted after BEFORE_S, or shown there."""
    rows = []
    for t in range(first_s, last_s + 1, STEP_S):
        values = {}
        for name, rate in RATES.items():
            late = max(0, t - BEFORE_S)
            values[name] = rate * (t - late) + rate * late * (factors or {}).get(name, 1.0)
        for name, level in LEVELS.items():
            values[name] = level * ((factors or {}).get(name, 1.0) if t > BEFORE_S else 1.0)
        rows.append({"t": float(t), "boot_id": boot, "start": start, "values": values})
    return {"now": float(last_s), "boot_id": boot, "samples": rows, "peers": None}


def host(number, factors=None, bake_s=BAKE_S):
    """Looks before and after. Hosts differ a little from each other, each by its number, and stay so."""
    own = 1 + number % 13 / 40
    changed = {name: own * factor for name, factor in (factors or {}).items()}
    spread = {**dict.fromkeys([*RATES, *LEVELS], own), **changed}
    steady = dict.fromkeys(("occupancy", "agent_rss_bytes"), 1.0)
    spread = {**spread, **{k: (factors or {}).get(k, v) for k, v in steady.items()}}
    before = {**look(), "samples": samples(0, BEFORE_S)}
    return before, {**look(), "samples": samples(BEFORE_S, BEFORE_S + bake_s, spread)}


def evidence(factors=None, *, wave=5, controls=20, bake_s=BAKE_S, hosts=None, **fields):
    """A wave of which `factors` say what changed on it; `hosts` gives single hosts other factors."""
    pairs = {f"c{n}": host(n, (hosts or {}).get(f"c{n}", factors), bake_s) for n in range(wave)}
    pairs |= {f"k{n}": host(n + 3, None, bake_s) for n in range(controls)}
    return Evidence(
        release="",
        seconds=bake_s,
        before={name: copy.deepcopy(pair[0]) for name, pair in pairs.items()},
        after={name: copy.deepcopy(pair[1]) for name, pair in pairs.items()},
        failures={},
        hosts=tuple(name for name in pairs if name.startswith("c")),
        controls=tuple(name for name in pairs if name.startswith("k")),
        **fields,
    )
