"""The program against the oracle: random policies, both families and directions, two hundred thousand verdicts, and for
each whether it is told.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import cycle

from harness import Datapath
from hypothesis import HealthCheck, Phase, given, seed, settings
from policies import QUIET, bundles, first_packet_of, flows
from seeds import base_seed, scaled

from tcmicro_agent.abi import Bank, Direction, Reason
from tcmicro_agent.datapath import events
from tcmicro_agent.policy.evaluate import NewFlow, Verdict, evaluate
from tcmicro_agent.policy.model import Action, Bundle, Log, Mode
from tcmicro_agent.tables import DEFAULT_UID, DIRECTIONS

VERDICTS = 200_000
POLICIES_AT_ONCE = 50
TOLD = (Reason.RULE_DENY, Reason.DEFAULT_ALLOW)  # so that every log of a rule makes a difference


class Comparison:
    """One datapath, many policies; counts what it compared."""

    def __init__(self, datapath: Datapath) -> None:
        self.datapath = datapath
        self.verdicts = self.policies = 0
        self._client_ports = cycle(range(10_000, 60_000))
        datapath.tune(replace(QUIET, event_reasons=TOLD))

    def agree(self, policy: Bundle) -> None:
        """Every flow has the verdict of the oracle; all together its reasons and rules."""
        self.datapath.forget_sessions()
        self.datapath.enforce(policy)
        expected = [(flow, evaluate(policy, flow)) for flow in flows(policy)]
        counts, hits, told = self.datapath.counts(), self._hits(), self._told()
        for flow, verdict in expected:
            audited = verdict.audited or policy.mode is Mode.MONITOR
            passes = verdict.action is Action.ALLOW or audited
            assert self._send(flow) == passes, f"{flow}: {verdict}, but {passes=} is not so"
        assert self.datapath.counts() - counts == Counter(
            place_of(flow, verdict, policy.mode) for flow, verdict in expected
        )
        assert self._hits() - hits == Counter(uid_of(flow, verdict) for flow, verdict in expected)
        assert self._told() - told == sum(is_told(policy, verdict) for _, verdict in expected)
        self.verdicts += len(expected)
        self.policies += 1

    def _send(self, flow: NewFlow) -> bool:
        packet = first_packet_of(flow, next(self._client_ports))
        return self.datapath.judges[DIRECTIONS[flow.direction]](packet)

    def _hits(self) -> Counter[str]:
        numbers = self.datapath.numbers
        hits = self.datapath.kernel.rule_hits(list(numbers.values()))
        return Counter({uid: hits[number][0] for uid, number in numbers.items()})

    def _told(self) -> int:
        """Decisions that were told, as events or in sums."""
        return sum(vars(events.told(self.datapath.kernel)).values())


def place_of(flow: NewFlow, verdict: Verdict, mode: Mode) -> tuple[Bank, Direction, Reason]:
    """The counter such a verdict moves."""
    audited = verdict.audited or (mode is Mode.MONITOR and verdict.action is Action.DENY)
    reason = Reason[verdict.reason.value.upper()]
    return Bank.AUDITED if audited else Bank.ENFORCED, DIRECTIONS[flow.direction], reason


def is_told(policy: Bundle, verdict: Verdict) -> bool:
    log = next((rule.log for rule in policy.rules if rule.uid == verdict.rule), Log.DENY)
    by_reason = Reason[verdict.reason.value.upper()] in TOLD
    return log is Log.ALL or (log is Log.DENY and by_reason)


def uid_of(flow: NewFlow, verdict: Verdict) -> str:
    return verdict.rule or DEFAULT_UID.format(flow.direction.value)


def test_program_agrees_with_evaluate(datapath, say):
    comparison, first, wanted = Comparison(datapath), base_seed(), scaled(VERDICTS)

    @settings(
        max_examples=POLICIES_AT_ONCE,
        database=None,
        report_multiple_bugs=False,
        deadline=None,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )
    @given(policy=bundles())
    def agrees(policy: Bundle) -> None:
        comparison.agree(policy)

    say(f"TCM_SEED={first}")
    while comparison.verdicts < wanted:
        seed(first + comparison.policies)(agrees)()
    say(f"{comparison.verdicts} verdicts on {comparison.policies} policies")
    assert comparison.verdicts >= wanted
