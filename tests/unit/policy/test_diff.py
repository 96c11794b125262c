"""What opens and closes between two sets of bundles: exactly what the oracle decides otherwise, and nothing else."""

from __future__ import annotations

import itertools
from dataclasses import replace
from ipaddress import ip_address, ip_network

from hypothesis import given, settings
from hypothesis import strategies as st

from tcmicro_agent.policy.difference.diff import changes
from tcmicro_agent.policy.difference.diff_text import fleet_lines, host_lines, markdown, plain
from tcmicro_agent.policy.difference.host_diff import bundle_changes
from tcmicro_agent.policy.difference.rows import rows_of
from tcmicro_agent.policy.evaluate import NewFlow, evaluate
from tcmicro_agent.policy.inventory import parse_inventory
from tcmicro_agent.policy.model import Action, Direction
from tcmicro_agent.policy.reach.naming import Naming
from tcmicro_agent.policy.resolve import NO_POLICY
from tests.unit.policy import test_resolve_meaning as meaning
from tests.unit.policy.test_resolve import FLEET, policy, resolved

NUMBERS = {"tcp": 6, "udp": 17, "sctp": 132, "icmp": 1, "any": 47}
FLOWS = [("tcp", 1), ("tcp", 2), ("tcp", 3), ("tcp", 4), ("udp", 2), ("udp", 3), ("any", 0)]
TWO = meaning.fleets().flatmap(
    lambda hosts: st.tuples(st.just(hosts), meaning.policies(hosts), meaning.policies(hosts))
)


def both(case):
    hosts, old, new = case
    inventory = parse_inventory(hosts)
    sides = [meaning.resolved(meaning.read(documents), hosts) for documents in (old, new)]
    return inventory, *sides


def addresses(inventory):
    """Every address of interest, with the host that has it."""
    strangers = {ip_address(text): None for text in meaning.STRANGERS}
    return {**strangers, **{a: h.name for h in inventory.hosts.values() for a in h.addresses}}


def passes(bundles, ends, flow):
    """Whether both ends that are in the inventory let it through, asked of the oracle."""
    (source, opener), (target, listener) = ends
    protocol, port = NUMBERS[flow[0]], flow[1]
    asked = [(opener, Direction.EGRESS, target), (listener, Direction.INGRESS, source)]
    return all(
        evaluate(bundles[host], NewFlow(way, peer, protocol, port)).action is Action.ALLOW
        for host, way, peer in asked
        if host
    )


def told(found, ends, flow):
    """What the changes say of a connection: opens, closes or nothing."""
    said = {
        change.shift.opens
        for change in found.connections
        if any(holds(found, party, *ends[0]) for party in change.sources)
        if any(holds(found, party, *ends[1]) for party in change.targets)
        if any(covers(part, flow) for part in change.shift.services)
    }
    assert len(said) <= 1
    return said.pop() if said else None


def holds(found, party, address, host):
    if host:
        return host in party.hosts and party.version == address.version
    inside = [n for p in found.parties for n in p.networks if address in n]
    return max(inside, key=lambda n: n.prefixlen) in party.networks


def covers(part, flow):
    return part.protocol.value == flow[0] and part.first <= flow[1] <= part.last


@settings(max_examples=50, deadline=None)
@given(TWO)
def test_changes_are_what_the_oracle_decides_otherwise(case):
    inventory, old, new = both(case)
    found = changes(old, new, inventory)
    for ends in itertools.permutations(addresses(inventory).items(), 2):
        (source, opener), (target, listener) = ends
        if source.version != target.version or opener == listener:
            continue  # of no connection, between strangers, or a host to itself
        for flow in FLOWS:
            was, now = passes(old, ends, flow), passes(new, ends, flow)
            assert told(found, ends, flow) == (None if was == now else now), (ends, flow)


@settings(max_examples=25, deadline=None)
@given(meaning.FLEETS)
def test_nothing_changes_between_equal_bundles(case):
    hosts, documents = case
    inventory, old, new = both((hosts, documents, documents))
    found = changes(old, new, inventory)
    assert not found
    assert plain([], []) == "nothing changes in meaning"
    assert not any(bundle_changes(old[name], new[name]) for name in old)


@settings(max_examples=25, deadline=None)
@given(TWO)
def test_changes_back_are_the_opposite(case):
    inventory, old, new = both(case)
    there, back = changes(old, new, inventory), changes(new, old, inventory)

    def services(found, opens):
        shifts = (c.shift for c in found.connections if c.shift.opens is opens)
        return {(s.services, s.was[:4], s.now[:4]) for s in shifts}

    turned = {(parts, now, was) for parts, was, now in services(back, False)}
    assert services(there, True) == turned


@settings(max_examples=40, deadline=None)
@given(TWO)
def test_bundles_alone_tell_what_changes_for_a_host(case):
    inventory, old, new = both(case)
    for host in inventory.hosts:
        found = bundle_changes(old[host], new[host])
        for direction, address, flow in itertools.product(Direction, addresses(inventory), FLOWS):
            asked = NewFlow(direction, address, NUMBERS[flow[0]], flow[1])
            was, now = (evaluate(side[host], asked).action for side in (old, new))
            said = [
                c.shift.opens
                for c in found.connections
                if c.direction is direction
                and any(in_networks(found, peer, address) for peer in c.peers)
                and any(covers(part, flow) for part in c.shift.services)
            ]
            assert said == ([] if was is now else [now is Action.ALLOW])


def in_networks(found, peer, address):
    known = [*found.old.endpoints, *found.new.endpoints, "0.0.0.0/0", "::/0"]
    inside = [n for n in map(ip_network, known) if address in n]
    return max(inside, key=lambda n: n.prefixlen) in peer.networks


def lines(old, new, fleet=None):
    inventory = parse_inventory(fleet or FLEET)
    found = changes(resolved(*old, fleet=fleet), resolved(*new, fleet=fleet), inventory)
    naming = Naming(inventory)
    return [
        (row.sign, row.source, row.target, row.services + row.family)
        for row in fleet_lines(found, naming)
    ]


WEB = policy("db-in", "pg|allow|groups: [web]|tcp/5432")


@settings(max_examples=25, deadline=None)
@given(TWO)
def test_rows_say_what_the_changes_say(case):
    inventory, old, new = both(case)
    found = changes(old, new, inventory)

    def connections(products):
        return {
            (shift.opens, part, source, target)
            for shift, sources, targets in products
            for part in shift.services
            for source, target in itertools.product(sources, targets)
            if source.version == target.version
        }

    rows = rows_of(found.connections)
    assert connections((r.shifts[0], r.sources, r.targets) for r in rows) == connections(
        (c.shift, c.sources, c.targets) for c in found.connections
    )


def test_what_differs_by_whose_default_decides_is_one_line():
    old = [policy("db-in"), policy("web-in", apply="groups: [web]")]
    ssh = policy("fleet", "ssh|allow|groups: [client]|tcp/22", apply="groups: [fleet]")
    inventory = parse_inventory(FLEET)
    found = changes(resolved(*old), resolved(*old, ssh), inventory)
    opening = [row for row in fleet_lines(found, Naming(inventory)) if row.opens]
    assert [(row.source, row.target, row.was) for row in opening] == [
        ("client1", "db, web", "default deny of db-in, web-in")
    ]


def test_port_that_is_added_opens_for_the_group_that_is_named():
    wider = policy("db-in", "pg|allow|groups: [web]|tcp/5432-5440")
    assert lines([WEB], [wider]) == [("+", "web", "db", "tcp/5433-5440")]


def test_order_names_and_comments_are_no_change():
    one = policy("db-in", "a|allow|groups: [web]|tcp/1-5", "b|allow|groups: [web]|tcp/6-9")
    other = policy("db-in", "c|allow|hosts: [web1, web2]|tcp/1-9")
    assert lines([one], [other]) == []


def test_first_policy_of_a_host_closes_what_its_default_refuses():
    found = lines([], [WEB])
    assert found == [
        ("-", "web", "db", "any but tcp/5432"),
        ("-", "db, client1, world", "db", "any"),
    ]


def test_network_with_no_address_of_its_own_is_no_peer():
    halves = policy("db-in", "a|allow|cidrs: [10.8.0.0/16, 10.9.0.0/16]|tcp/1")
    whole = policy("db-in", "a|allow|cidrs: [10.8.0.0/15]|tcp/1")
    assert lines([halves], [whole]) == []


def test_network_is_named_with_what_is_told_apart_in_it():
    one = policy("db-in", "a|allow|cidrs: [10.8.0.0/16], except: [10.8.1.0/24]|tcp/1")
    two = policy("db-in", "a|allow|cidrs: [10.8.0.0/16], except: [10.8.1.0/24]|tcp/1-2")
    assert lines([one], [two]) == [("+", "10.8.0.0/16 except 10.8.1.0/24", "db", "tcp/2")]


def test_other_end_that_still_refuses_keeps_a_connection_closed():
    shut = policy("web-out", apply="groups: [web]", default="allow, deny")
    closed = policy("db-in")
    assert lines([shut, closed], [shut, WEB]) == []


def test_only_the_family_that_changes_is_named():
    fleet = {**FLEET, "db1": {**FLEET["db1"], "addresses": ["10.0.2.1", "fd00::2:1"]}}
    only4 = policy("db-in", "pg|allow|cidrs: [10.0.1.0/24]|tcp/5432")
    assert ("-", "web", "db1", "tcp/5432 (IPv6 only)") in lines([WEB], [only4], fleet)


def test_mode_is_a_change_of_its_own():
    inventory = parse_inventory(FLEET)
    monitored = policy("db-in", "pg|allow|groups: [web]|tcp/5432", mode="monitor")
    found = changes(resolved(monitored), resolved(WEB), inventory)
    assert not found.connections
    assert [(t.setting, t.was, t.now, sorted(t.hosts)) for t in found.turns] == [
        ("mode", "monitor", "protect", ["db1", "db2"])
    ]


def test_the_mode_of_one_policy_among_others_is_a_change():
    inventory = parse_inventory(FLEET)
    old = policy("db-new", "x|deny|groups: [web]|tcp/5432", mode="monitor", default="allow, allow")
    new = old.replace("mode: monitor", "mode: protect")
    found = changes(resolved(WEB, old), resolved(WEB, new), inventory)
    assert not found.connections  # verdicts are compared, whatever the mode
    assert [(t.setting, t.was, t.now, sorted(t.hosts)) for t in found.turns] == [
        ("mode", "protect (monitor: db-new)", "protect", ["db1", "db2"])
    ]


def test_what_is_only_audited_is_said_to_be():
    inventory = parse_inventory(FLEET)
    audit = policy(
        "db-new", "x|deny|groups: [web]|tcp/5432", mode="monitor", default="allow, allow"
    )
    rows = fleet_lines(changes(resolved(WEB), resolved(WEB, audit), inventory), Naming(inventory))
    assert [(row.sign, row.now) for row in rows] == [("-", "db-new/x (1.yml:6), monitor only")]


def test_host_that_has_no_bundle_on_one_side_was_under_no_policy():
    inventory = parse_inventory(FLEET)
    new = resolved(WEB)
    assert bool(changes({}, new, inventory))
    assert not changes({}, {name: replace(NO_POLICY, host=name) for name in new}, inventory)


def test_lines_say_what_decides_and_decided():
    inventory = parse_inventory(FLEET)
    found = changes(resolved(policy("db-in")), resolved(WEB), inventory)
    rows = fleet_lines(found, Naming(inventory))
    assert plain(rows, []) == (
        "+ web -> db  tcp/5432  now db-in/pg (0.yml:6); was default deny of db-in\n1 opens"
    )
    assert markdown(rows, ["mode of db: monitor -> protect"]) == (
        "**1 opens, 1 setting changes**\n\n- mode of db: monitor → protect\n\n"
        "| | From | To | Service | Now | Was |\n|---|---|---|---|---|---|\n"
        "| opens | web | db | `tcp/5432` | db-in/pg (0.yml:6) | default deny of db-in |"
    )


def test_host_lines_name_peers_as_the_bundles_do():
    wider = policy("db-in", "pg|allow|groups: [web, client]|tcp/5432")
    found = bundle_changes(resolved(WEB)["db1"], resolved(wider)["db1"])
    [row] = host_lines(found)
    assert (row.sign, row.connection) == ("+", "client (10.0.3.1) -> db1")
