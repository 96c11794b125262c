"""`make format`: write docs/reasons.md, the page of every reason, from bpf/abi.h and the hints below."""

from __future__ import annotations

import re
from pathlib import Path

from tcmicro_agent.abi import DENY_REASONS, Reason
from tcmicro_agent.tuning import DECISIONS

ROOT = Path(__file__).resolve().parents[1]
HEADER = ROOT / "bpf/abi.h"
PAGE = ROOT / "docs/reasons.md"
MEMBER = re.compile(r"^\s*TCM_(\w+) = (\d+),\s*/\* (.+) \*/$", re.MULTILINE)

INTRODUCTION = """\
# Reasons

Why a packet passed or was dropped: the same name in `tc-micro event`, `tc-micro stats show` and the metrics
`tc_micro_packets_allowed_total` and `tc_micro_packets_denied_total`. Numbers are never given anew. A reason to drop
drops only in mode protect: in mode monitor the packet passes and is counted in the bank `audited`. Every reason is
counted; as an event it is told where the last column says so, else only while somebody asks for it
(`tc-micro event follow --reason NAME`, or for good `events.reasons` in `/etc/tcmicro/agent.json`). A rule
with `log: none` is never told, one with `log: all` always (see [policy.md](policy.md)).

Written by `make format` from `bpf/abi.h` and `tools/reasons.py`: change it there.

| number | reason | verdict | meaning | what to do | told |
|---|---|---|---|---|---|
"""

# What to do where a reason shows up and is not expected.
HINTS = {
    Reason.SESSION: "nothing: most packets end here; `tc-micro session list` shows the flows",
    Reason.RULE_ALLOW: "nothing; `tc-micro policy list` shows the hits of each rule",
    Reason.DEFAULT_ALLOW: "nothing; before a default becomes deny, write rules for the flows that are told with it",
    Reason.RULE_DENY: "if the flow is wanted, change the rule at the source that the event names",
    Reason.DEFAULT_DENY: "if the flow is wanted, write a rule that allows it; "
    "if the event says `world`, the peer is in no selector of the policy",
    Reason.NO_SESSION: "a few are late packets of closed connections; many: the way back takes another host, or "
    "sessions were evicted (`tc_micro_map_pressure`); see `sessions.tcp` in agent.json",
    Reason.REVOKED: "expected after a policy took a permission away: the opener has to end the connection; "
    "else apply the policy before",
    Reason.MALFORMED: "capture on the interface: a broken sender or a probe; no policy lets it pass",
    Reason.FRAGMENT: "nothing: the kernel completes no datagram whose first fragment was dropped",
    Reason.FRAGMENT_TINY: "capture on the interface: an evasion attempt, or an MTU below 100 bytes",
    Reason.ICMP_ERROR: "nothing: path MTU discovery and unreachable messages of own flows",
    Reason.ICMP_ERROR_UNKNOWN: "a few are errors about flows that have ended; many: somebody forges addresses of "
    "this host",
    Reason.NEIGHBOUR: "nothing: IPv6 does not work without it",
    Reason.NON_IP: "nothing: ARP, LLDP and the like are not filtered",
    Reason.FAILSAFE: "write a rule that allows this management flow, so that only emergencies rely on the failsafe",
    Reason.UNENFORCED: "apply a policy, or ask `tc-micro status` why none is in force",
    Reason.FORWARD_ALLOW: "nothing; rules do not apply to routed traffic, `default.forward` alone does",
    Reason.FORWARD_DENY: "a router or container host needs `default.forward: allow`",
    Reason.SYN_FLOOD: "find the source network in the events; a NAT or proxy with many clients belongs into the policy "
    "(known peers are never limited) or needs a higher `syn_rate.source`",
    Reason.DHCP: "nothing: the host keeps its address under any policy",
    Reason.VLAN: "nothing: the VLAN interface judges the frame and counts it again there",
}


def page(header: str) -> str:
    """The page for that text of bpf/abi.h."""
    start = header.index("enum tcm_reason {")
    members = MEMBER.findall(header[start : header.index("};", start)])
    return INTRODUCTION + "".join(_row(name, int(number), text) for name, number, text in members)


def _row(name: str, number: int, meaning: str) -> str:
    reason = Reason(number)
    verdict = "drop" if reason in DENY_REASONS else "pass"
    told = "yes" if reason in DECISIONS else "on request"
    cells = (f'<a id="{number}"></a>{number}', f"`{name.lower()}`", verdict, meaning)
    return f"| {' | '.join((*cells, HINTS[reason], told))} |\n"


def main() -> None:
    PAGE.write_text(page(HEADER.read_text()))


if __name__ == "__main__":
    main()
