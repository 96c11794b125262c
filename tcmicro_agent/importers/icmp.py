"""Messages of ICMP as other firewalls name them → types as a policy names them (IANA: ICMP and ICMPv6 parameters).

A policy judges messages that open a flow. Errors and answers pass with the flow they are about, and neighbour
discovery and MLD always pass.
"""

from __future__ import annotations

from collections.abc import Sequence

from tcmicro_agent.importers.match import Match, UnclearError
from tcmicro_agent.policy.model import Protocol

V6 = 128  # the first type of ICMPv6 that is no error; a policy tells the families by it
PASSING = {4: {0, 3, 4, 5, 11, 12}, 6: {1, 2, 3, 4, 129, *range(130, 137), 143}}
SAME = {
    "echo-request": (8, 128),
    "echo-reply": (0, 129),
    "destination-unreachable": (3, 1),
    "time-exceeded": (11, 3),
    "parameter-problem": (12, 4),
    "router-solicitation": (10, 133),
    "router-advertisement": (9, 134),
    "redirect": (5, 137),
}
TYPES = {
    4: {
        **{name: types[0] for name, types in SAME.items()},
        "source-quench": 4,
        "timestamp-request": 13,
        "timestamp-reply": 14,
        "info-request": 15,
        "info-reply": 16,
        "address-mask-request": 17,
        "address-mask-reply": 18,
    },
    6: {
        **{name: types[1] for name, types in SAME.items()},
        "packet-too-big": 2,
        "mld-listener-query": 130,
        "mld-listener-report": 131,
        "mld-listener-done": 132,
        "mld-listener-reduction": 132,
        "nd-router-solicit": 133,
        "nd-router-advert": 134,
        "nd-neighbor-solicit": 135,
        "nd-neighbor-advert": 136,
        "neighbor-solicitation": 135,
        "neighbour-solicitation": 135,
        "neighbor-advertisement": 136,
        "neighbour-advertisement": 136,
        "nd-redirect": 137,
        "router-renumbering": 138,
        "ind-neighbor-solicit": 141,
        "ind-neighbor-advert": 142,
        "mld2-listener-report": 143,
    },
}


def messages(family: int, names: Sequence[str]) -> Match:
    """New flows that these messages of the ICMP of `family` open; UnclearError where a policy cannot name one."""
    types = {type_of(family, name) for name in names}
    judged = sorted(types - PASSING[family])
    always = len(judged) < len(types)
    kind = Match(frozenset({family}), frozenset({Protocol.ICMP}), always=always)
    return kind.only_messages(judged) if judged else Match(never=True, always=True)


def type_of(family: int, name: str) -> int:
    """By name or number; ICMPv6's types below 128 are errors, ICMP's from 128 on are not in use."""
    number = int(name) if name.isdigit() else TYPES[family].get(name.lower(), -1)
    known = range(V6) if family == 4 else range(256)
    if number not in known or (family == 6 and number < V6 and number not in PASSING[6]):
        raise UnclearError(f"ICMP{'v6' if family == 6 else ''} message {name}")
    return number
