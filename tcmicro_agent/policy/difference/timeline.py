"""Bundles at one time: rules that begin and expire make what they mean, and what changes, a matter of when."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from tcmicro_agent.policy.model import Bundle, Rule
from tcmicro_agent.policy.windows import holds


def at_time(bundles: Mapping[str, Bundle], now: float) -> dict[str, Bundle]:
    """With the rules that are in force then. Bundles that share their rules still do."""
    known: dict[int, tuple[Rule, ...]] = {}
    found = {}
    for host, bundle in bundles.items():
        rules = known.get(id(bundle.rules))
        if rules is None:
            rules = tuple(rule for rule in bundle.rules if holds(rule.window, now))
            rules = bundle.rules if len(rules) == len(bundle.rules) else rules
            known[id(bundle.rules)] = rules
        found[host] = bundle if rules is bundle.rules else replace(bundle, rules=rules)
    return found


def instants(bundles: Iterable[Bundle], now: float) -> list[int]:
    """When rules will begin or cease to be in force after `now`."""
    rules = {id(bundle.rules): bundle.rules for bundle in bundles}.values()
    ends = {e for some in rules for rule in some for e in (rule.window.start, rule.window.end)}
    return sorted(end for end in ends if end is not None and end > now)
