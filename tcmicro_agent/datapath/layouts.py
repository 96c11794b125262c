"""The maps of a datapath: what they are called, how wide an entry is, and which of them have their pin."""

from __future__ import annotations

from pathlib import Path

from tcmicro_agent import abi

EVENTS = "tcm_events"  # the ring, which is mapped

# key and value sizes of every other map, and whether it is per CPU
LAYOUTS = {
    "tcm_control": (4, abi.CONTROL.size, False),
    "tcm_slots": (4, abi.SLOT.size, False),
    "tcm_settings": (4, abi.SETTINGS.size, False),
    "tcm_hosts4": (abi.HOST4_KEY.size, abi.PEER.size, False),
    "tcm_hosts6": (abi.HOST6_KEY.size, abi.PEER.size, False),
    "tcm_cidrs4": (abi.CIDR4_KEY.size, abi.PEER.size, False),
    "tcm_cidrs6": (abi.CIDR6_KEY.size, abi.PEER.size, False),
    "tcm_rules": (abi.RULE_KEY.size, abi.RULE.size, False),
    "tcm_failsafe": (abi.FAILSAFE_KEY.size, 4, False),
    "tcm_no_failsafe": (4, abi.NO_FAILSAFE.size, False),
    "tcm_trial": (4, abi.TRIAL.size, False),
    "tcm_vlans": (abi.VLAN_KEY.size, 4, False),
    "tcm_half4": (abi.SESSION4_KEY.size, abi.SESSION.size, False),
    "tcm_half6": (abi.SESSION6_KEY.size, abi.SESSION.size, False),
    "tcm_tcp4": (abi.SESSION4_KEY.size, abi.SESSION.size, False),
    "tcm_tcp6": (abi.SESSION6_KEY.size, abi.SESSION.size, False),
    "tcm_other4": (abi.SESSION4_KEY.size, abi.SESSION.size, False),
    "tcm_other6": (abi.SESSION6_KEY.size, abi.SESSION.size, False),
    "tcm_syn_sources": (4, abi.RATE.size, False),
    "tcm_syn_listeners": (4, abi.RATE.size, False),
    "tcm_counters": (4, abi.COUNT.size, True),
    "tcm_rule_hits": (4, abi.COUNT.size, True),
    "tcm_comparisons": (4, abi.COUNT.size, True),
    "tcm_differences": (abi.DIFFERENCE_KEY.size, abi.COUNT.size, False),
    "tcm_budget": (4, abi.BUDGET.size, True),
    "tcm_sums": (abi.SUM_KEY.size, abi.COUNT.size, True),
}
ROOM = {  # what to do when one of these is full
    "tcm_hosts4": "raise policy.hosts in /etc/tcmicro/agent.json and restart the agent",
    "tcm_hosts6": "raise policy.hosts in /etc/tcmicro/agent.json and restart the agent",
    "tcm_rules": "raise policy.rules in /etc/tcmicro/agent.json and restart the agent",
}


def lost(pins: Path) -> set[str]:
    """Maps without their pin: nobody but the programs that use them has them any more, or who held them open."""
    return {name for name in (*LAYOUTS, EVENTS) if not (pins / name).exists()}
