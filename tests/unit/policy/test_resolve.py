"""From policies and an inventory to bundles: order, defaults, identities, and what does not fit."""

from __future__ import annotations

import itertools

import pytest

from tcmicro_agent.errors import PolicyError
from tcmicro_agent.policy import bundle as bundles
from tcmicro_agent.policy.inventory import parse_inventory
from tcmicro_agent.policy.model import Action, Log, Mode, Window
from tcmicro_agent.policy.resolve import resolve
from tcmicro_agent.policy.source import parse_policies


def policy(name, *rules, apply="groups: [db]", tier="app", mode="protect", default="deny, allow"):
    """The text of a policy; its rules are `id|allow|peer|ports`, of direction ingress."""
    ingress, egress = default.split(", ")
    lines = [
        "apiVersion: tcmicro/v1",
        "kind: Policy",
        f"metadata: {{name: {name}}}",
        f"spec: {{tier: {tier}, mode: {mode}, applyTo: {{{apply}}},",
        f"  default: {{ingress: {ingress}, egress: {egress}}}, ingress: [",
    ]
    for rule in rules:
        uid, action, peer, ports = rule.split("|")
        lines.append(f"  {{id: {uid}, action: {action}, from: [{{{peer}}}], ports: [{ports}]}},")
    return "\n".join([*lines, "]}"])


def host(address, *groups, **labels):
    addresses = [address] if isinstance(address, str) else list(address)
    return {"groups": ["all", *groups], "labels": labels, "addresses": addresses}


FLEET = {
    "web1": host(["10.0.1.1", "fd00::1:1"], "fleet", "web", tier="front"),
    "web2": host(["10.0.1.2", "fd00::1:2"], "fleet", "web", tier="front"),
    "db1": host("10.0.2.1", "fleet", "db", tier="data"),
    "db2": host("10.0.2.2", "fleet", "db", tier="data", env="test"),
    "client1": host("10.0.3.1", "fleet", "client"),
}


def resolved(*texts, fleet=None):
    policies = parse_policies((f"{n}.yml", text) for n, text in enumerate(texts))
    return resolve(policies, parse_inventory(fleet or FLEET))


def problems(*texts, fleet=None):
    with pytest.raises(PolicyError) as caught:
        resolved(*texts, fleet=fleet)
    return caught.value.problems


def peers(bundle):
    """Which addresses each rule matches, as the bundle's endpoints tell it."""
    return {
        rule.uid: [n for n, number in bundle.endpoints.items() if number in rule.identities]
        for rule in bundle.rules
    }


def test_every_host_gets_a_bundle_of_its_own():
    found = resolved(policy("db-in", "pg|allow|groups: [web]|tcp/5432"))
    assert list(found) == sorted(FLEET)
    assert all(name == bundle.host for name, bundle in found.items())
    assert all(bundles.parse(bundles.to_document(bundle)) == bundle for bundle in found.values())


def test_host_without_policy_allows_everything_so_that_removal_un_enforces():
    bundle = resolved(policy("db-in"))["web1"]
    assert (bundle.mode, bundle.rules, bundle.endpoints) == (Mode.MONITOR, (), {})
    assert (bundle.default_ingress, bundle.default_egress) == (Action.ALLOW, Action.ALLOW)
    assert bundle.default_source == ("", "")


def test_rule_says_where_it_was_written():
    (rule,) = resolved(policy("db-in", "pg|allow|groups: [web]|tcp/5432"))["db1"].rules
    assert (rule.uid, rule.source, rule.tier) == ("db-in/pg", "0.yml:6", "app")


def test_rules_stand_by_tier_then_deny_then_uid():
    any_peer = "entity: any|any"
    found = resolved(
        policy("a", f"x|allow|{any_peer}", f"w|deny|{any_peer}", tier="baseline"),
        policy("b", f"z|allow|{any_peer}", f"y|deny|{any_peer}", f"x|deny|{any_peer}"),
        policy("c", f"x|allow|{any_peer}", tier="quarantine"),
        policy("d", f"x|allow|{any_peer}", tier="platform"),
    )["db1"]
    assert [rule.uid for rule in found.rules] == ["c/x", "d/x", "b/x", "b/y", "b/z", "a/w", "a/x"]


@pytest.mark.parametrize(
    ("defaults", "ingress", "egress"),
    [
        (["allow, allow", "allow, allow"], ("allow", "p0"), ("allow", "p0")),
        (["allow, allow", "deny, allow"], ("deny", "p1"), ("allow", "p0")),
        (["deny, allow", "deny, deny"], ("deny", "p0"), ("deny", "p1")),
    ],
)
def test_deny_beats_allow_among_defaults(defaults, ingress, egress):
    texts = [policy(f"p{n}", default=default) for n, default in enumerate(defaults)]
    bundle = resolved(*reversed(texts))["db1"]
    assert (bundle.default_ingress.value, bundle.default_source[0]) == ingress
    assert (bundle.default_egress.value, bundle.default_source[1]) == egress


MONITORED = policy("new", "x|deny|groups: [web]|tcp/1", mode="monitor", default="deny, deny")


def test_policies_of_both_modes_share_a_host():
    enforced = policy("old", "y|allow|groups: [web]|tcp/1", default="deny, allow")
    bundle = resolved(MONITORED, enforced)["db1"]
    assert bundle.mode is Mode.PROTECT
    assert [(rule.uid, rule.audits) for rule in bundle.rules] == [("new/x", True), ("old/y", False)]
    assert (bundle.default_ingress, bundle.default_egress) == (Action.DENY, Action.DENY)
    assert bundle.default_source == ("old", "new")  # who enforces, before who only audits
    assert bundle.audited_defaults == {"egress"}
    assert bundle.monitoring == ("new",)


def test_alone_a_policy_in_monitor_mode_needs_no_word_about_it():
    bundle = resolved(MONITORED)["db1"]
    assert bundle.mode is Mode.MONITOR
    assert "mode" not in bundles.to_document(bundle)["rules"][0]
    assert (bundle.audited_defaults, bundle.monitoring) == (frozenset(), ())


@pytest.mark.parametrize(
    ("apply", "wanted"),
    [
        ("groups: [db]", "db1 db2"),
        ("groups: [db, client]", "client1 db1 db2"),
        ("groups: [all]", "client1 db1 db2 web1 web2"),
        ("groups: [db], labels: {env: test}", "db2"),
        ("labels: {tier: data}, exceptHosts: [db1]", "db2"),
        ("hosts: [db1, web1]", "db1 web1"),
        ("groups: [db], hosts: [db1, web1]", "db1"),
    ],
)
def test_selector_joins_its_fields_by_and(apply, wanted):
    found = resolved(policy("p", apply=apply))
    assert [name for name, bundle in found.items() if bundle.default_source[0]] == wanted.split()


@pytest.mark.parametrize(
    ("peer", "wanted"),
    [
        ("groups: [web]", "10.0.1.1/32 10.0.1.2/32 fd00::1:1/128 fd00::1:2/128"),
        ("groups: [web], labels: {tier: data}", None),
        ("labels: {tier: data}", "10.0.2.1/32 10.0.2.2/32"),
        ("hosts: [db1]", "10.0.2.1/32"),
        ("cidrs: [10.0.0.0/8]", "10.0.0.0/8"),
        ('cidrs: [10.0.0.0/8, "fd00::/8"]', "10.0.0.0/8 fd00::/8"),
        ("cidrs: [10.0.0.0/8], except: [10.0.1.0/24]", "10.0.0.0/8"),
    ],
)
def test_rule_names_its_peers(peer, wanted):
    text = policy("p", f"r|allow|{peer}|any")
    if wanted is None:
        assert "TCM2005" in problems(text)[0]
    else:
        assert peers(resolved(text)["db1"]) == {"p/r": wanted.split()}


def test_host_named_by_name_is_told_from_its_twins():
    bundle = resolved(
        policy("p", "one|allow|hosts: [web1]|tcp/1", "both|allow|groups: [web]|tcp/2")
    )["db1"]
    assert {info.name: info.number for info in bundle.identities} == {"web": 1, "web1": 2}
    assert peers(bundle)["p/one"] == ["10.0.1.1/32", "fd00::1:1/128"]
    assert len(peers(bundle)["p/both"]) == 4


def test_address_in_nested_networks_matches_the_rules_of_all_of_them():
    bundle = resolved(
        policy(
            "p",
            "wide|allow|cidrs: [10.0.0.0/8]|tcp/1",
            "narrow|allow|cidrs: [10.0.1.0/24]|tcp/2",
            "web|allow|groups: [web]|tcp/3",
        )
    )["db1"]
    assert peers(bundle) == {
        "p/narrow": ["10.0.1.0/24", "10.0.1.1/32", "10.0.1.2/32"],
        "p/web": ["10.0.1.1/32", "10.0.1.2/32", "fd00::1:1/128", "fd00::1:2/128"],
        "p/wide": ["10.0.0.0/8", "10.0.1.0/24", "10.0.1.1/32", "10.0.1.2/32"],
    }


def test_host_without_groups_is_not_a_stranger_of_its_network():
    fleet = {"db1": host("10.0.2.1", "db"), "bare": host("10.0.9.9")}
    bundle = resolved(
        policy("p", "net|deny|cidrs: [10.0.0.0/8]|tcp/1", "fleet|allow|groups: [all]|tcp/2"),
        fleet=fleet,
    )["db1"]
    assert peers(bundle)["p/fleet"] == ["10.0.2.1/32", "10.0.9.9/32"]


def test_rule_with_anyone_among_its_peers_matches_everybody():
    bundle = resolved(policy("p", "r|allow|entity: any}, {groups: [web]|any"))["db1"]
    assert bundle.rules[0].any_peer
    assert (bundle.rules[0].identities, bundle.endpoints) == ((), {})


def test_bundle_holds_only_what_its_rules_name():
    bundle = resolved(policy("p", "r|allow|groups: [client]|any"))["db1"]
    assert [info.name for info in bundle.identities] == ["client"]
    assert [info.groups for info in bundle.identities] == [("client", "fleet")]


def test_names_tell_as_much_as_tells_identities_apart():
    bundle = resolved(
        policy("p", "r|allow|groups: [db, web]|any", "s|allow|cidrs: [10.0.1.2/32]|any")
    )["db1"]
    assert sorted(info.name for info in bundle.identities) == [
        "db{env=test,tier=data}",
        "db{tier=data}",
        "web{tier=front}",
        "web{tier=front} in 10.0.1.2/32",
    ]


def everybody(bundle, uid):
    """The names of those a rule matches, "world" for who is nobody the bundle knows."""
    names = {info.number: info.name for info in bundle.identities} | {0: "world"}
    (rule,) = (rule for rule in bundle.rules if rule.uid == uid)
    return sorted(names[number] for number in rule.identities)


def test_world_is_who_is_no_host_inside_a_network_of_policies_or_not():
    bundle = resolved(
        policy(
            "p",
            "out|deny|entity: world|any",
            "net|allow|cidrs: [10.0.0.0/8, 192.0.2.0/24]|any",
            "web|allow|groups: [web]|tcp/1",
        )
    )["db1"]
    assert everybody(bundle, "p/out") == ["10.0.0.0/8", "192.0.2.0/24", "world"]
    known = {network for network, number in bundle.endpoints.items() if network[-3:] == "/32"}
    assert known == {f"{h['addresses'][0]}/32" for h in FLEET.values()}


def test_fleet_is_every_host_and_tells_apart_only_whom_other_rules_name():
    bundle = resolved(policy("p", "all|allow|entity: fleet|any", "web|allow|groups: [web]|tcp/1"))
    assert everybody(bundle["db1"], "p/all") == ["fleet", "web"]
    assert len(bundle["db1"].endpoints) == 7
    assert bundle["db1"].rules[0].identities == bundle["db2"].rules[0].identities


def test_self_is_another_on_every_host():
    found = resolved(policy("p", "me|allow|entity: self|any", apply="groups: [web]"))
    assert peers(found["web1"]) == {"p/me": ["10.0.1.1/32", "fd00::1:1/128"]}
    assert peers(found["web2"]) == {"p/me": ["10.0.1.2/32", "fd00::1:2/128"]}


def test_self_that_other_rules_name_too_matches_both():
    text = policy(
        "p", "me|deny|entity: self|tcp/1", "web|allow|groups: [web]|any", apply="hosts: [web1]"
    )
    bundle = resolved(text)["web1"]
    assert peers(bundle)["p/me"] == ["10.0.1.1/32", "fd00::1:1/128"]
    assert len(peers(bundle)["p/web"]) == 4


def test_controller_and_resolvers_are_those_that_the_host_knows():
    fleet = {
        **FLEET,
        "db1": {**FLEET["db1"], "controller": ["10.0.0.9"], "resolvers": ["10.0.0.53"]},
        "db2": {**FLEET["db2"], "controller": ["10.0.0.9"], "resolvers": ["10.0.3.1", "fd00::53"]},
    }
    text = policy("p", "ssh|allow|entity: controller|tcp/22", "dns|deny|entity: resolvers|udp/53")
    found = resolved(text, fleet=fleet)
    assert peers(found["db1"]) == {"p/ssh": ["10.0.0.9/32"], "p/dns": ["10.0.0.53/32"]}
    assert peers(found["db2"]) == {
        "p/ssh": ["10.0.0.9/32"],
        "p/dns": ["10.0.3.1/32", "fd00::53/128"],
    }


SETS = """
---
apiVersion: tcmicro/v1
kind: AddressSet
metadata: {name: office}
spec: {cidrs: [192.0.2.0/24, 10.0.0.0/16]}
---
apiVersion: tcmicro/v1
kind: AddressSet
metadata: {name: guests}
spec: {cidrs: [192.0.2.128/25, 198.51.100.0/24]}
---
apiVersion: tcmicro/v1
kind: PortSet
metadata: {name: web}
spec: {ports: [tcp/80, tcp/443]}
"""


def test_sets_mean_what_is_in_them():
    sets = "addressSets: [office], cidrs: [203.0.113.0/24], except: [10.0.1.0/24, set:guests]"
    plain = (
        "cidrs: [192.0.2.0/24, 10.0.0.0/16, 203.0.113.0/24], except: [10.0.1.0/24, 192.0.2.128/25]"
    )
    by_name = resolved(policy("p", f"r|allow|{sets}|set:web, udp/1") + SETS)
    assert by_name == resolved(policy("p", f"r|allow|{plain}|tcp/80, tcp/443, udp/1"))


def test_times_and_log_reach_the_bundle():
    text = policy("p", "r|allow|entity: any|any").replace(
        "id: r,",
        'id: r, startsAt: "2027-01-15T08:00:00Z", expires: "2027-01-15T08:00:01Z", log: all,',
    )
    (rule,) = resolved(text)["db1"].rules
    assert (rule.window, rule.log) == (Window(1_800_000_000, 1_800_000_001), Log.ALL)


def test_order_of_policies_rules_and_hosts_changes_nothing():
    texts = [
        policy("a", "x|allow|groups: [web]|tcp/2, tcp/1", "y|deny|cidrs: [10.0.0.0/8]|any"),
        policy("b", "x|allow|hosts: [client1]|udp/53", apply="groups: [all]", tier="platform"),
        policy("c", apply="groups: [web]"),
    ]
    fleet = dict(reversed(FLEET.items()))
    parsed = parse_policies((text[40:60], text) for text in texts)
    wanted = resolve(parsed, parse_inventory(FLEET))
    for shuffled in itertools.permutations(parsed):
        assert resolve(shuffled, parse_inventory(fleet)) == wanted


def test_entity_that_the_inventory_does_not_know_is_refused():
    text = policy("p", "r|allow|entity: resolvers|any", apply="groups: [all]")
    fleet = {**FLEET, "db1": {**FLEET["db1"], "resolvers": ["10.0.0.53"]}}
    assert problems(text, fleet=fleet) == [
        "0.yml:6:33: error TCM2008: no address of resolvers is known on client1, db2, web1"
        " and 1 more; set tcmicro_resolvers"
    ]


@pytest.mark.parametrize("entity", ["world", "fleet"])
def test_host_that_nobody_recognises_would_be_one_of_the_world(entity):
    fleet = {**FLEET, "new1": host([], "web")}
    assert problems(policy("p", f"r|allow|entity: {entity}|any"), fleet=fleet) == [
        "0.yml:6:33: error TCM2006: new1 without an address; set tcmicro_addresses or ansible_host"
    ]


PG = "pg|allow|groups: [web]|tcp/5432"

FAULTS = {
    "group of subjects": (
        [policy("p", apply="groups: [dbb]")],
        '0.yml:4:53: error TCM2002: no host is in group "dbb" (did you mean "db"?)',
    ),
    "group of peers": (
        [policy("p", "r|allow|groups: [wbe]|any")],
        '0.yml:6:43: error TCM2002: no host is in group "wbe" (did you mean "web"?)',
    ),
    "ungrouped": (
        [policy("p", apply="groups: [ungrouped]")],
        '0.yml:4:53: error TCM2002: no host is in group "ungrouped" '
        "(known: all, client, db, fleet, web)",
    ),
    "host": (
        [policy("p", apply="hosts: [db11]")],
        '0.yml:4:52: error TCM2003: the inventory has no host "db11" (did you mean "db1"?)',
    ),
    "excepted host": (
        [policy("p", apply="groups: [db], exceptHosts: [x]")],
        '0.yml:4:72: error TCM2003: the inventory has no host "x" '
        "(known: client1, db1, db2, web1, web2)",
    ),
    "label": (
        [policy("p", apply="labels: {teir: data}")],
        '0.yml:4:53: error TCM2004: no host has a label "teir" (did you mean "tier"?)',
    ),
    "value of a label": (
        [policy("p", apply="labels: {tier: dta}")],
        '0.yml:4:59: error TCM2004: no host has tier=dta (did you mean "data"?)',
    ),
    "no subject": (
        [policy("p", apply="groups: [web], labels: {env: test}")],
        "0.yml:4:43: error TCM2005: matches no host of the inventory",
    ),
    "no peer": (
        [policy("p", "r|allow|groups: [client], hosts: [web1]|any")],
        "0.yml:6:33: error TCM2005: matches no host of the inventory",
    ),
    "two policies of a name": (
        [policy("p"), policy("p", apply="groups: [web]")],
        '1.yml:3:18: error TCM1402: policy "p" exists already at 0.yml:3:18',
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_what_does_not_fit_is_said(name):
    texts, wanted = FAULTS[name]
    assert problems(*texts) == [wanted]


def test_peer_without_an_address_is_refused_and_a_stranger_without_one_is_not():
    fleet = {**FLEET, **{f"web{n}": host([], "web") for n in range(3, 9)}}
    assert problems(policy("p", PG), fleet=fleet) == [
        "0.yml:6:34: error TCM2006: web3, web4, web5 and 3 more without an address; "
        "set tcmicro_addresses or ansible_host"
    ]
    resolved(policy("p", "r|allow|groups: [client]|any"), fleet=fleet)


def test_all_that_does_not_fit_is_said_at_once():
    texts = [
        policy("p", "r|allow|groups: [wbe]|any", "s|allow|hosts: [x]|any", apply="groups: [c]")
    ]
    assert len(problems(*texts)) == 3
