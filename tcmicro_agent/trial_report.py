"""What the staged policy would change, as documents for machines. Reads only."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from typing import Any

from tcmicro_agent import abi, plan, staging, tables
from tcmicro_agent.datapath import trial
from tcmicro_agent.datapath.trial import Difference
from tcmicro_agent.policy.evaluate import NUMBERS
from tcmicro_agent.policy.model import Bundle
from tcmicro_agent.reconcile import Agent

PROTOCOLS = {number: protocol.value for protocol, number in NUMBERS.items()}
OUTCOMES = {  # (verdict of the live policy, of the staged one)
    (abi.Verdict.ALLOW, abi.Verdict.ALLOW): "agree_allow",
    (abi.Verdict.DENY, abi.Verdict.DENY): "agree_deny",
    (abi.Verdict.ALLOW, abi.Verdict.DENY): "allow_to_deny",
    (abi.Verdict.DENY, abi.Verdict.ALLOW): "deny_to_allow",
}
JUDGES = {"live": (abi.Bank.ENFORCED, abi.Bank.AUDITED), "staged": (abi.Bank.TRIAL,)}
JUDGED = {  # reasons of first packets, by what became of the flow
    "allowed": (abi.Reason.RULE_ALLOW, abi.Reason.DEFAULT_ALLOW),
    "refused": (abi.Reason.RULE_DENY, abi.Reason.DEFAULT_DENY),
}
Named = Mapping[int, tuple[str, str]]  # by counter index: uid and source of a rule


def staged(agent: Agent, observed: plan.Observed) -> dict[str, Any] | None:
    """What is staged, its share now, and what it said since it is compared with the live policy."""
    header, word = observed.staged, observed.trial
    if header is None:
        return None
    noted = agent.store.comparison()
    compared = noted is not None and noted.generation == header.generation
    share = word.share_at(observed.now_ms)
    return {
        "generation": header.generation,
        "digest": header.digest,
        "mode": header.mode.name.lower(),
        "share": share,
        "share_left_s": round((word.deadline_ms - observed.now_ms) / 1000, 1) if share else None,
        "against": noted.against if noted and compared else None,
        "comparisons": _totals(noted.since(trial.comparisons(agent.kernel)))
        if noted and compared
        else None,
        "judged": judged(agent),
    }


def judged(agent: Agent) -> dict[str, dict[str, int]]:
    """New flows by which of the two policies held for them, and how; counted since the datapath was loaded."""
    counted = agent.kernel.counters()
    return {
        judge: {
            outcome: sum(
                counted[abi.counter_index(way, reason, bank)][0]
                for way, reason, bank in product(abi.Direction, reasons, banks)
            )
            for outcome, reasons in JUDGED.items()
        }
        for judge, banks in JUDGES.items()
    }


def differences(agent: Agent, *, limit: int) -> dict[str, Any]:
    """New flows that the staged policy decides otherwise, most frequent first, at most `limit` kinds of them."""
    observed = agent.observe()
    _, header = staging.require_staged(observed)
    live_bundle = agent.store.bundle(observed.live.digest) if observed.live.generation else None
    live = _rules(agent, live_bundle)
    candidate = _rules(agent, agent.store.bundle(header.digest))
    known = live_bundle.identities if live_bundle else ()
    names = {int(info.number): info.name for info in known}
    found = sorted(trial.differences(agent.kernel, header.generation), key=lambda d: -d.flows)
    return {
        "staged": staged(agent, observed),
        "differences": [
            _row(d, names.get(d.identity, "world"), live, candidate) for d in found[:limit]
        ],
        "total": len(found),
    }


def _totals(counts: tuple[int, ...]) -> dict[str, dict[str, int]]:
    return {
        direction.name.lower(): {
            name: counts[abi.comparison_index(direction, live, staged)]
            for (live, staged), name in OUTCOMES.items()
        }
        for direction in abi.Direction
    }


def _row(found: Difference, peer: str, live: Named, staged: Named) -> dict[str, Any]:
    return {
        "direction": found.direction.name.lower(),
        "protocol": PROTOCOLS.get(found.protocol, str(found.protocol)),
        "port": found.port,
        "peer": peer,
        "live": _side(found.live, live.get(found.rule)),
        "staged": _side(abi.Verdict(1 - found.live), staged.get(found.staged_rule)),
        "flows": found.flows,
        "bytes": found.octets,
    }


def _side(verdict: abi.Verdict, rule: tuple[str, str] | None) -> dict[str, str]:
    uid, source = rule or ("", "")
    return {"verdict": verdict.name.lower(), "rule": uid, "source": source}


def _rules(agent: Agent, bundle: Bundle | None) -> Named:
    if bundle is None:
        return {}
    numbers = agent.store.books().numbers
    sources = (*bundle.default_source, bundle.forward_source, *(r.source for r in bundle.rules))
    named = zip(tables.rule_uids(bundle), sources)
    return {numbers[uid]: (uid, source) for uid, source in named if uid in numbers}
