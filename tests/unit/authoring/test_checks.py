"""What is well formed and probably not meant, and above all what is not reported."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address

import pytest

from tcmicro_agent.policy.checks import Limits, check
from tcmicro_agent.policy.inventory import parse_inventory
from tcmicro_agent.policy.resolve import resolve
from tcmicro_agent.policy.source import parse_policies
from tcmicro_agent.policy.windows import instant

NOW = instant("2026-11-21T12:00:00Z")
LIMITS = Limits(65536, 262144, 65536, now=NOW)
POLICY = """\
apiVersion: tcmicro/v1
kind: Policy
metadata: {{name: {name}}}
spec:
  tier: {tier}
  mode: {mode}
  applyTo: {to}
  default: {{ingress: {ingress}, egress: {egress}}}
  {direction}:
"""


def policy(name, *rules, **changed):
    """A policy of db with rules of one direction, each in flow style without its braces."""
    words = {"tier": "app", "mode": "protect", "to": "{groups: [db]}", "direction": "ingress"}
    words |= {"ingress": "deny", "egress": "allow", **changed}
    text = POLICY.format(name=name, **words)
    return text + "".join(f"    - {{id: r{n}, {rule}}}\n" for n, rule in enumerate(rules, start=1))


def host(group, number, *more, **facts):
    return {
        "groups": [group, "tcmicro"],
        "labels": {},
        "addresses": [f"10.0.{number}", *more],
        **facts,
    }


HOSTS = {
    "web1": host("web", "1.1"),
    "web2": host("web", "1.2"),
    "db1": host("db", "2.1"),
    "db2": host("db", "2.2"),
}


def found(*policies, hosts=HOSTS, limits=LIMITS):
    """Code, line and text of each fault; all policies stand in one file."""
    inventory = parse_inventory(hosts)
    read = parse_policies([("p.yml", "---\n".join(policies))])
    faults = check(read, inventory, resolve(read, inventory), limits)
    return [(fault.code.value, fault.where.line, fault.text) for fault in faults]


def codes(*policies, **more):
    return [code for code, *_ in found(*policies, **more)]


PG = "from: [{groups: [web]}], ports: [tcp/5432]"


def test_an_ordinary_policy_is_left_alone():
    assert found(policy("a", PG, "from: [{hosts: [db1]}], ports: [tcp/22, icmp]")) == []


@pytest.mark.parametrize(
    ("rules", "wanted"),
    [
        ([PG, f"action: deny, {PG}"], [1]),
        ([PG, "action: deny, from: [{entity: any}], ports: [any]"], [1]),
        ([PG, "action: deny, from: [{cidrs: [10.0.0.0/8]}], ports: [tcp/1-65535]"], [1]),
        ([PG, "action: deny, from: [{hosts: [web1]}], ports: [any]"], []),
        ([PG, "action: deny, from: [{entity: any}], ports: [tcp/1-5431]"], []),
        ([PG, "action: deny, from: [{entity: any}], ports: [udp/5432]"], []),
        (
            [
                PG,
                "action: deny, from: [{hosts: [web1]}], ports: [any]",
                "action: deny, from: [{hosts: [web2]}], ports: [tcp/5432]",
            ],
            [1],
        ),
        (
            [PG, f'action: deny, {PG}, expires: "2027-01-01T00:00:00Z"'],
            [],
        ),
        (["from: [{groups: [web]}], ports: [tcp/1-9000]", PG], [2]),
    ],
)
def test_a_rule_is_shadowed_by_what_decides_all_its_flows(rules, wanted):
    lines = [line - 9 for code, line, _ in found(policy("a", *rules)) if code == "TCM3001"]
    assert lines == wanted


def test_a_rule_that_decides_on_one_of_its_hosts_is_not_shadowed():
    wide = policy("top", f"action: deny, {PG}", tier="platform", to="{hosts: [db1]}")
    assert codes(policy("a", PG), wide) == []
    assert codes(policy("a", PG), wide.replace("hosts: [db1]", "groups: [db]")) == ["TCM3001"]


@pytest.mark.parametrize(
    ("one", "other", "wanted"),
    [
        (PG, PG, True),
        (
            "from: [{groups: [web, db]}], ports: [tcp/1]",
            "from: [{groups: [db, web]}], ports: [tcp/1]",
            True,
        ),
        (PG, f"description: x, owner: y, {PG}", True),
        (PG, PG.replace("5432", "5433"), False),
        (PG, PG.replace("groups: [web]", "hosts: [web1]"), False),
        (PG, f'{PG}, startsAt: "2026-01-01T00:00:00Z"', False),
    ],
)
def test_what_says_the_same_is_a_duplicate(one, other, wanted):
    assert ("TCM3002" in codes(policy("a", one, other))) is wanted


def test_a_duplicate_in_another_policy_of_the_same_hosts_is_one_too():
    assert codes(policy("a", PG), policy("b", PG)) == ["TCM3002"]
    assert codes(policy("a", PG), policy("b", PG, to="{hosts: [db1]}")) == []


WEB = {"to": "{groups: [web]}", "ingress": "allow", "direction": "egress"}
TO_DB = "to: [{groups: [db]}], ports: [tcp/5432]"
TO_DB_NET = "to: [{cidrs: [10.0.2.0/24]}], ports: [tcp/5432]"


def test_egress_that_the_other_end_refuses_is_half_open():
    assert found(policy("db", PG.replace("5432", "1")), policy("web", TO_DB, **WEB)) == [
        ("TCM3003", 21, "db1, db2 refuse tcp/5432 from web1, web2: the default of db at p.yml:3:18")
    ]


def test_ingress_that_the_other_end_may_not_open_is_half_open():
    dns = "to: [{entity: any}], ports: [udp/53]"
    web = policy("web", dns, **WEB, egress="deny")
    assert found(policy("db", PG), web) == [
        (
            "TCM3003",
            10,
            "web1, web2 may not open tcp/5432 to db1, db2: the default of web at p.yml:14:18",
        )
    ]


def test_a_rule_of_the_other_end_that_refuses_is_named():
    deny = f"action: deny, {PG}"
    (fault,) = found(policy("db", deny), policy("web", TO_DB, **WEB))
    assert fault[2].endswith("from web1, web2: db/r1 at p.yml:10:12")


@pytest.mark.parametrize(
    ("db", "web"),
    [
        (policy("db", PG), policy("web", TO_DB, **WEB)),
        (policy("db", PG), policy("web", "to: [{groups: [db]}], ports: [any]", **WEB)),
        (policy("db", PG.replace("5432", "1"), mode="monitor"), policy("web", TO_DB, **WEB)),
        (policy("db", PG.replace("5432", "1")), policy("web", TO_DB, mode="monitor", **WEB)),
        (policy("db", PG.replace("5432", "1"), ingress="allow"), policy("web", TO_DB, **WEB)),
        (policy("db", PG.replace("5432", "5000-6000")), policy("web", TO_DB, **WEB)),
        (
            policy("db", PG.replace("5432", "1")),
            policy("web", TO_DB_NET, **WEB),
        ),
    ],
    ids=["open", "any", "counted there", "counted here", "default", "range", "networks"],
)
def test_what_is_open_at_both_ends_or_not_enforced_is_no_half(db, web):
    assert "TCM3003" not in codes(db, web)


def test_one_host_that_refuses_is_enough():
    db = policy("db", PG.replace("5432", "1"), to="{hosts: [db2]}")
    (fault,) = found(db, policy("web", TO_DB, **WEB))
    assert fault[2].startswith("db2 refuses tcp/5432 from web1, web2")


def test_a_host_is_no_peer_of_itself():
    alone = policy(
        "a", "to: [{groups: [db]}], ports: [tcp/1]", to="{hosts: [db1]}", direction="egress"
    )
    assert codes(alone, hosts={"db1": HOSTS["db1"]}) == []
    assert codes(alone.replace("hosts: [db1]", "groups: [db]")) == ["TCM3003"]


@pytest.mark.parametrize(
    ("rule", "facts", "wanted"),
    [
        ("to: [{groups: [web]}], ports: [tcp/443]", {}, True),
        ("to: [{groups: [web]}], ports: [udp/53]", {}, False),
        ("to: [{groups: [web]}], ports: [any]", {}, False),
        ("to: [{groups: [web]}], ports: [udp/53]", {"resolvers": ["10.9.9.9"]}, True),
        ("to: [{entity: resolvers}], ports: [udp/53]", {"resolvers": ["10.9.9.9"]}, False),
        ("to: [{cidrs: [10.9.9.9/32]}], ports: [udp/1-99]", {"resolvers": ["10.9.9.9"]}, False),
    ],
)
def test_hosts_need_a_resolver(rule, facts, wanted):
    hosts = {**HOSTS, "db1": host("db", "2.1", **facts), "db2": host("db", "2.2", **facts)}
    text = policy("a", rule, egress="deny", ingress="allow", direction="egress")
    assert ("TCM3004" in codes(text, hosts=hosts)) is wanted
    assert "TCM3004" not in codes(text.replace("egress: deny", "egress: allow"), hosts=hosts)
    assert "TCM3004" not in codes(text.replace("protect", "monitor"), hosts=hosts)


@pytest.mark.parametrize(
    ("rule", "direction", "wanted"),
    [
        ("from: [{entity: any}], ports: [tcp/80]", "ingress", True),
        ("from: [{entity: world}], ports: [tcp/80]", "ingress", True),
        ('from: [{cidrs: ["::/0"]}], ports: [any]', "ingress", True),
        ("from: [{entity: any}], ports: [icmp]", "ingress", False),
        ("action: deny, from: [{entity: any}], ports: [tcp/80]", "ingress", False),
        ("from: [{entity: fleet}], ports: [tcp/80]", "ingress", False),
        ("to: [{entity: any}], ports: [tcp/443]", "egress", False),
        ("to: [{entity: any}], ports: [any]", "egress", True),
    ],
)
def test_what_is_open_to_the_world_is_told(rule, direction, wanted):
    text = policy("a", rule, direction=direction)
    assert ("TCM3005" in codes(text)) is wanted
    assert "TCM3005" not in codes(text.replace("protect", "monitor"))


@pytest.mark.parametrize(
    ("times", "wanted"),
    [
        ('expires: "2026-11-21T12:00:00Z"', ["TCM3006"]),
        ('expires: "2026-11-21T12:00:01Z"', []),
        ('expires: "2027-11-22T12:00:00Z"', []),
        ('expires: "2027-11-22T12:00:01Z"', ["TCM3007"]),
        ('startsAt: "2027-11-01T00:00:00Z", expires: "2028-01-01T00:00:00Z"', []),
    ],
)
def test_times_of_rules(times, wanted):
    assert codes(policy("a", f"{PG}, {times}")) == wanted


def test_ipv4_networks_alone_are_told_where_hosts_speak_ipv6():
    dual = {**HOSTS, "db2": host("db", "2.2", "fd00::2")}
    text = policy("a", "from: [{cidrs: [10.1.0.0/16]}], ports: [tcp/1]")
    assert codes(text) == []
    assert found(text, hosts=dual) == [
        ("TCM3008", 10, "names IPv4 networks alone; known by IPv6 too: db2")
    ]
    assert codes(text.replace("[10.1.0.0/16]", '[10.1.0.0/16, "fd01::/16"]'), hosts=dual) == []
    assert codes(text.replace("}], ports", "}, {groups: [web]}], ports"), hosts=dual) == []


@pytest.mark.parametrize(
    ("hosts", "rules", "counters", "wanted"),
    [
        (4, 262144, 65536, []),
        (3, 262144, 65536, ["TCM3010"]),
        (1, 262144, 65536, ["TCM3009"]),
        (65536, 1, 65536, ["TCM3010"]),
        (65536, 262144, 3, ["TCM3009"]),
    ],
)
def test_what_the_tables_cannot_hold_is_told(hosts, rules, counters, wanted):
    assert codes(policy("a", PG), limits=Limits(hosts, rules, counters, now=NOW)) == wanted


SSH = "from: [{cidrs: [10.9.0.0/24]}], ports: [tcp/22]"


@pytest.mark.parametrize(
    ("rules", "address", "wanted"),
    [
        ([PG], "10.9.0.1", ["TCM3011"]),
        ([SSH], "10.9.0.1", []),
        ([SSH], "10.9.1.1", ["TCM3011"]),
        (
            [SSH, "action: deny, from: [{cidrs: [10.9.0.1/32]}], ports: [tcp/22]"],
            "10.9.0.1",
            ["TCM3011"],
        ),
    ],
)
def test_the_controller_is_not_kept_out(rules, address, wanted):
    text = policy("a", *rules)
    told = Limits(65536, 262144, 65536, controllers=(ip_address(address),), now=NOW)
    assert codes(text, limits=told) == wanted
    hosts = {name: {**facts, "controller": [address]} for name, facts in HOSTS.items()}
    assert codes(text, hosts=hosts) == wanted
    assert codes(text.replace("protect", "monitor"), limits=told) == []
    assert codes(text.replace("ingress: deny", "ingress: allow"), hosts=hosts)[:1] == [
        code for code in wanted if "deny" in str(rules)
    ]


def test_faults_come_once_for_many_hosts_and_name_a_few():
    many = {f"db{n}": host("db", f"2.{n}") for n in range(1, 9)}
    (fault,) = found(
        policy("a", egress="deny").replace("  ingress:\n", ""),
        hosts={**many, "web1": HOSTS["web1"]},
    )
    assert fault[2] == "db1, db2, db3 and 5 more can reach no resolver (udp/53); allow it in egress"


NEW = {"mode": "monitor", "ingress": "allow"}
NO_WEB = "action: deny, from: [{groups: [web]}], ports: [any]"


def test_what_only_audits_shadows_no_rule_that_enforces():
    assert codes(policy("live", PG), policy("new", NO_WEB, **NEW)) == []
    alike = codes(policy("live", PG), policy("new", NO_WEB, ingress="allow"))
    assert alike == ["TCM3001"]


def test_what_only_audits_keeps_nobody_out():
    limits = replace(LIMITS, controllers=(ip_address("10.0.9.9"),))
    other = "from: [{groups: [web]}], ports: [tcp/5433]"
    shut = policy("new", other, mode="monitor", ingress="deny")
    live = policy("live", PG, ingress="allow")
    assert codes(live, shut, limits=limits) == []
    assert codes(live, shut.replace("monitor", "protect"), limits=limits) == ["TCM3011"]
