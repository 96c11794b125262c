"""What an import makes of a firewall judges as the firewall did, or the report says that it does not."""

from __future__ import annotations

import os
from ipaddress import ip_address
from random import Random

import pytest
from firewalls import ADDRESSES, PORTS, PROTOCOLS, as_iptables, as_nftables, random_firewall

from tcmicro_agent.importers import draft, iptables, nftables
from tcmicro_agent.importers.draft import Effect
from tcmicro_agent.policy.evaluate import NewFlow, evaluate
from tcmicro_agent.policy.inventory import parse_inventory
from tcmicro_agent.policy.model import Action, Direction, Mode
from tcmicro_agent.policy.resolve import resolve
from tcmicro_agent.policy.source import parse_policies

SEED = int(os.environ.get("TCM_SEED", "0")) or Random().randrange(1, 2**32)
FIREWALLS = 150
HOSTS = parse_inventory(
    {"h": {"groups": ["all", "imported"], "labels": {}, "addresses": ["172.16.0.1"]}}
)
TOLD = {
    True: {Effect.WIDER, Effect.EITHER},  # now allowed
    False: {Effect.NARROWER, Effect.EITHER},
}
FLOWS = [
    (peer, protocol, port)
    for peer in ADDRESSES
    for protocol in PROTOCOLS
    for port in (PORTS if protocol != "icmp" else (0,))
]


READERS = pytest.mark.parametrize(
    ("reader", "writer"),
    [(iptables.read, as_iptables), (nftables.read, as_nftables)],
    ids=["iptables", "nftables"],
)
DIFFERING = 1  # a seed of firewalls some of which cannot be carried over as they are


def compare(random, reader, writer, told) -> tuple[int, int]:
    """How many firewalls were carried over whole, and how many flows are judged otherwise, each of them reported."""
    exact = differing = 0
    for _ in range(FIREWALLS):
        firewall = random_firewall(random)
        text = writer(firewall)
        done = reader(text, "imported")
        policy = draft.write(done, "test", Mode.PROTECT)
        bundle = resolve(parse_policies([("p.yml", policy)]), HOSTS)["h"]
        effects = {found.effect for found in done.report.left_out} - {Effect.NONE}
        exact += not effects
        for peer, protocol, port in FLOWS:
            flow = NewFlow(Direction.INGRESS, ip_address(peer), PROTOCOLS[protocol], port)
            now = evaluate(bundle, flow).action is Action.ALLOW
            if now != firewall.judge(peer, protocol, port):
                differing += 1
                assert effects & TOLD[now], f"{told}: {flow} {now=}, not reported\n{text}\n{policy}"
    return exact, differing


@READERS
def test_import_judges_as_the_original_or_says_so(reader, writer):
    exact, _ = compare(Random(SEED), reader, writer, f"TCM_SEED={SEED}")
    assert exact > FIREWALLS // 3, f"TCM_SEED={SEED}: hardly any was carried over whole"
    assert exact < FIREWALLS, f"TCM_SEED={SEED}: the firewalls hold nothing that cannot be carried"


@READERS
def test_the_comparison_meets_flows_that_are_judged_otherwise(reader, writer):
    _, differing = compare(Random(DIFFERING), reader, writer, f"seed {DIFFERING}")
    assert differing > 0
