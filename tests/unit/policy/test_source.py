"""The policy language: what it means, and what is said about what it is not."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from tcmicro_agent.errors import PolicyError
from tcmicro_agent.policy.codes import TITLES, Code
from tcmicro_agent.policy.intent import About, Anyone, Cidrs, Entity, HostSelector, Tier
from tcmicro_agent.policy.model import Action, Direction, Log, Mode, Protocol, Service, Window
from tcmicro_agent.policy.source import parse_policies

POLICY = """\
apiVersion: tcmicro/v1
kind: Policy
metadata: {name: db-in}
spec:
  mode: protect
  applyTo: {groups: [db]}
  default: {ingress: deny, egress: allow}
  ingress:
    - id: pg
      from: [{groups: [web]}]
      ports: [tcp/5432]
"""


def parse(text: str):
    return parse_policies([("p.yml", text)])


def problems(text: str) -> list[str]:
    with pytest.raises(PolicyError) as caught:
        parse(text)
    return caught.value.problems


def changed(old: str, new: str) -> str:
    assert POLICY.count(old) == 1
    return POLICY.replace(old, new)


def words(selector: HostSelector) -> dict[str, object]:
    return {
        "groups": [word.text for word in selector.groups],
        "labels": {key.text: value.text for key, value in selector.labels},
        "hosts": [word.text for word in selector.hosts],
        "except": [word.text for word in selector.except_hosts],
    }


def test_policy_with_every_field():
    (policy,) = parse("""\
apiVersion: tcmicro/v1
kind: Policy
metadata: {name: db-in, owner: team-data, ticket: OPS-1, description: Who may talk to Postgres}
spec:
  tier: platform
  mode: monitor
  applyTo: {groups: [db, cache], labels: {env: prod, rack: 7}, hosts: [db1], exceptHosts: [db9]}
  default: {ingress: deny, egress: allow}
  ingress:
    - id: pg
      action: deny
      from: [{cidrs: [10.0.0.0/8, "fd00::/8"], except: [10.1.0.0/16]}, {hosts: [web1]}]
      ports: [tcp/5432, udp/8000-8080, icmp]
      owner: me
      ticket: OPS-2
      description: because
  egress:
    - id: out
      to: [{entity: any}]
      ports: [any]
""")
    assert (policy.name.text, policy.tier, policy.mode) == ("db-in", Tier.PLATFORM, Mode.MONITOR)
    assert (policy.default_ingress, policy.default_egress) == (Action.DENY, Action.ALLOW)
    assert words(policy.subjects) == {
        "groups": ["db", "cache"],
        "labels": {"env": "prod", "rack": "7"},
        "hosts": ["db1"],
        "except": ["db9"],
    }
    pg, out = policy.rules
    assert (pg.id.text, pg.direction, pg.action) == ("pg", Direction.INGRESS, Action.DENY)
    networks, hosts = pg.peers
    assert isinstance(networks, Cidrs)
    assert networks.networks == (ip_network("10.0.0.0/8"), ip_network("fd00::/8"))
    assert networks.excluded == (ip_network("10.1.0.0/16"),)
    assert isinstance(hosts, HostSelector)
    assert words(hosts)["hosts"] == ["web1"]
    assert pg.services == (
        Service(Protocol.TCP, 5432, 5432),
        Service(Protocol.UDP, 8000, 8080),
        Service(Protocol.ICMP),
    )
    assert (out.direction, out.action) == (Direction.EGRESS, Action.ALLOW)
    assert isinstance(out.peers[0], Anyone)
    assert out.services == (Service(Protocol.ANY),)


def test_rule_with_times_sets_and_people():
    (policy,) = parse(
        changed(
            "- id: pg\n      from: [{groups: [web]}]\n      ports: [tcp/5432]",
            "- id: pg\n      from: [{entity: world}, {entity: self}]\n"
            "      ports: [icmp/echo-request, icmp/13, icmp6/139, tcp/22]\n"
            '      startsAt: "2027-01-15T08:00:00Z"\n      expires: 2027-01-15T09:00:00Z\n'
            "      log: all\n      owner: me\n      ticket: OPS-2",
        )
    )
    (rule,) = policy.rules
    assert [peer.entity for peer in rule.peers] == [Entity.WORLD, Entity.SELF]
    assert list(map(str, rule.services)) == [
        "icmp/8",
        "icmp6/128",
        "icmp/13",
        "icmp6/139",
        "tcp/22",
    ]
    assert rule.window == Window(1_800_000_000, 1_800_003_600)
    assert (rule.log, rule.about) == (Log.ALL, About("me", "OPS-2", ""))


def test_small_policy_has_tier_app_and_allows():
    (policy,) = parse(POLICY)
    assert policy.tier is Tier.APP
    assert [rule.action for rule in policy.rules] == [Action.ALLOW]


def test_one_file_holds_several_documents_and_empty_ones():
    text = f"---\n---\n{POLICY}---\n{POLICY.replace('db-in', 'web-in')}...\n"
    assert [policy.name.text for policy in parse(text)] == ["db-in", "web-in"]


def test_words_of_yaml_stay_words():
    (policy,) = parse(changed("{groups: [db]}", '{labels: {on: off, yes: "no", n: 010, t: 12:30}}'))
    assert words(policy.subjects)["labels"] == {"on": "off", "yes": "no", "n": "010", "t": "12:30"}


def test_places_are_those_of_the_words():
    (policy,) = parse(POLICY)
    assert str(policy.subjects.groups[0].where) == "p.yml:6:22"
    assert str(policy.rules[0].id.where) == "p.yml:9:11"


NAMES = "lower-case letters, digits and inner dashes, at most 63"
PORTS = "write it like tcp/5432, udp/8000-8080, icmp or any"

FAULTS = [
    # old text, new text, what is said
    ("tcmicro/v1", "v2", '1:13: error TCM1101: "v2" is not known; this release reads tcmicro/v1'),
    (
        "kind: Policy",
        "kind: Polcy",
        '2:7: error TCM1102: kind "Polcy" does not exist (did you mean "Policy"?)',
    ),
    (
        "kind: Policy",
        "kind: Fault",
        "2:7: error TCM1206: kind Fault is not supported in this release; remove the document",
    ),
    ("kind: Policy\n", "", '1:1: error TCM1201: a document has no "kind"'),
    ("db-in", "Db_in", f'3:18: error TCM1401: name: "Db_in" is not a name ({NAMES})'),
    ("db-in", "7", '3:18: error TCM1202: name: must be text, not 7; put it in quotes: "7"'),
    (
        "name: db-in",
        "name: db-in, tickt: X",
        '3:25: error TCM1203: unknown key "tickt" (did you mean "ticket"?)',
    ),
    ("  mode: protect\n", "", '5:3: error TCM1201: spec has no "mode"'),
    (
        "protect",
        "protekt",
        '5:9: error TCM1204: mode: "protekt" is not one of monitor, protect (did you mean "protect"?)',
    ),
    (
        "mode:",
        "tier: system\n  mode:",
        '5:9: error TCM1204: tier: "system" is built in and cannot be written; '
        "the highest tier to write is quarantine",
    ),
    ("{groups: [db]}", "{}", "6:12: error TCM1205: applyTo must have one of groups, labels, hosts"),
    (
        "{groups: [db]}",
        "{exceptHosts: [db1]}",
        "6:12: error TCM1205: applyTo must have one of groups, labels, hosts",
    ),
    ("[db]", "[]", "6:21: error TCM1205: groups: the list is empty; name at least one"),
    ("[db]", "db", '6:21: error TCM1202: groups: must be a list, not "db"'),
    ("[db]", "[db, db]", '6:26: error TCM1304: groups: "db" stands twice'),
    (
        "{groups: [db]}",
        "{labels: {}}",
        "6:21: error TCM1205: labels: the mapping is empty; name at least one",
    ),
    (
        "{groups: [db]}",
        "{labels: {env: true}}",
        '6:27: error TCM1202: labels.env: must be text, not true; put it in quotes: "true"',
    ),
    ("ingress: deny, ", "", '7:12: error TCM1201: default has no "ingress"'),
    (
        "ingress: deny",
        "ingress: drop",
        '7:22: error TCM1204: ingress: "drop" is not one of allow, deny',
    ),
    (
        "  ingress:\n",
        "  ingres:\n",
        '8:3: error TCM1203: unknown key "ingres" (did you mean "ingress"?)',
    ),
    ("- id: pg\n      from", "- from", '9:7: error TCM1201: a rule has no "id"'),
    (
        "id: pg",
        "id: pg\n      acton: deny",
        '10:7: error TCM1203: unknown key "acton" (did you mean "action"?)',
    ),
    ("from:", "to:", '9:7: error TCM1201: a rule has no "from"'),
    (
        "{groups: [web]}",
        "{}",
        "10:14: error TCM1205: a peer must have one of "
        "groups, labels, hosts, cidrs, addressSets, entity",
    ),
    (
        "{groups: [web]}",
        "{groups: [web], cidrs: [10.0.0.0/8]}",
        '10:15: error TCM1204: "groups" cannot stand beside "cidrs"; make each an item of the list',
    ),
    (
        "groups: [web]",
        "groups: [web], entity: any",
        '10:15: error TCM1204: "groups" cannot stand beside "entity"; make each an item of the list',
    ),
    (
        "groups: [web]",
        "fqdns: [example.com], groups: [web]",
        '10:15: error TCM1206: "fqdns" is not supported in this release; remove it',
    ),
    (
        "groups: [web]",
        "entity: ayn",
        '10:23: error TCM1204: entity: "ayn" is not one of '
        'any, world, fleet, self, controller, resolvers (did you mean "any"?)',
    ),
    (
        "groups: [web]",
        "cidrs: [10.0.0.1/8]",
        '10:23: error TCM1302: cidrs: "10.0.0.1/8" has host bits set; write 10.0.0.0/8',
    ),
    (
        "groups: [web]",
        'cidrs: ["fd77::1/64"]',
        '10:23: error TCM1302: cidrs: "fd77::1/64" has host bits set; write fd77::/64',
    ),
    (
        "groups: [web]",
        "cidrs: [10.0.0.1]",
        '10:23: error TCM1301: cidrs: "10.0.0.1" is not a network; write 10.0.0.1/32',
    ),
    (
        "groups: [web]",
        "cidrs: [10.0.0.0/255.0.0.0]",
        '10:23: error TCM1301: cidrs: "10.0.0.0/255.0.0.0" is not a network; write 10.0.0.0/8',
    ),
    (
        "groups: [web]",
        "cidrs: [10.0.0/8]",
        '10:23: error TCM1301: cidrs: "10.0.0/8" is not a network; '
        "write it like 10.0.0.0/8 or fd00::/8",
    ),
    (
        "groups: [web]",
        'cidrs: ["::ffff:10.0.0.0/104"]',
        '10:23: error TCM1301: cidrs: "::ffff:10.0.0.0/104" wraps IPv4; write the IPv4 network',
    ),
    (
        "groups: [web]",
        "cidrs: [10.0.0.0/8], except: [192.0.2.0/24]",
        "10:44: error TCM1301: 192.0.2.0/24 lies in none of the cidrs, or is all of one",
    ),
    (
        "tcp/5432",
        "5432",
        '11:15: error TCM1303: ports: "5432" is not a port; name the protocol: tcp/5432',
    ),
    ("tcp/5432", "tcp/0", '11:15: error TCM1303: ports: "tcp/0": 0 is not a port (1-65535)'),
    (
        "tcp/5432",
        "tcp/70000",
        '11:15: error TCM1303: ports: "tcp/70000": 70000 is not a port (1-65535)',
    ),
    (
        "tcp/5432",
        "tcp/90-80",
        '11:15: error TCM1303: ports: "tcp/90-80" runs backwards; write tcp/80-90',
    ),
    (
        "tcp/5432",
        "tcp",
        '11:15: error TCM1303: ports: "tcp" is not a port; name the ports: tcp/1-65535',
    ),
    (
        "tcp/5432",
        "tpc/80",
        f'11:15: error TCM1303: ports: "tpc/80" is not a port; {PORTS} (did you mean "tcp"?)',
    ),
    (
        "tcp/5432",
        "icmp/echo",
        '11:15: error TCM1303: ports: "icmp/echo" is not a port; write a number or echo-request',
    ),
    (
        "tcp/5432",
        "icmp/128",
        '11:15: error TCM1303: ports: "icmp/128": icmp has types 0-127 that a rule can name',
    ),
    (
        "tcp/5432",
        "icmp6/8",
        '11:15: error TCM1303: ports: "icmp6/8": icmp6 has types 128-255 that a rule can name',
    ),
    (
        "tcp/5432",
        "icmp6/129",
        '11:15: error TCM1303: ports: "icmp6/129": an answer or an error message needs no rule: '
        "it passes with its flow",
    ),
    (
        "tcp/5432",
        "icmp6/echo-request",
        '11:15: error TCM1303: ports: "icmp6/echo-request" is not a port; '
        "write icmp/echo-request, which means ICMPv6 too",
    ),
    (
        "id: pg",
        "id: pg\n      log: some",
        '10:12: error TCM1204: log: "some" is not one of none, deny, all',
    ),
    (
        "id: pg",
        "id: pg\n      startsAt: 2026-12-01T08:00:00+01:00",
        '10:17: error TCM1305: startsAt: "2026-12-01T08:00:00+01:00" is not a time in UTC; '
        'write it like "2026-12-01T08:00:00Z"',
    ),
    (
        "id: pg",
        'id: pg\n      expires: "2026-02-30T00:00:00Z"',
        '10:16: error TCM1305: expires: "2026-02-30T00:00:00Z" is not a time in UTC; '
        'write it like "2026-12-01T08:00:00Z"',
    ),
    (
        "id: pg",
        "id: pg\n      startsAt: 2026-12-01T08:00:00Z\n      expires: 2026-12-01T08:00:00Z",
        "11:16: error TCM1305: expires: 2026-12-01T08:00:00Z is not after startsAt "
        "(2026-12-01T08:00:00Z)",
    ),
    ("tcp/5432", "22:22", f'11:15: error TCM1303: ports: "22:22" is not a port; {PORTS}'),
    (
        "tcp/5432",
        "true",
        '11:15: error TCM1202: ports: must be text, not true; put it in quotes: "true"',
    ),
    ("tcp/5432", "tcp/80, tcp/80", '11:23: error TCM1304: ports: "tcp/80" stands twice'),
    (
        "id: pg",
        "id: pg\n      expires: 2026-12-15",
        '10:16: error TCM1305: expires: "2026-12-15" is not a time in UTC; '
        'write it like "2026-12-01T08:00:00Z"',
    ),
    (
        "kind: Policy",
        "kind: Policy\nkind: Policy",
        '3:1: error TCM1002: "kind" stands twice here, first in line 2',
    ),
    (
        "[db]",
        "&g [db]",
        "6:21: error TCM1003: anchors, aliases and tags are not supported; write the value out",
    ),
    (
        "[db]",
        "[!!str db]",
        "6:22: error TCM1003: anchors, aliases and tags are not supported; write the value out",
    ),
    ("[db]", "[db", "6:24: error TCM1001: not YAML: expected ',' or ']', but got '}'"),
    ("[db]", "[1: 2]", "6:22: error TCM1202: a key must be text; put it in quotes"),
    ("db-in", '"\x07"', '3:19: error TCM1001: character "\\u0007" is not allowed'),
]


@pytest.mark.parametrize(
    ("old", "new", "wanted"), FAULTS, ids=[new.strip() for _, new, _ in FAULTS]
)
def test_fault_says_where_what_and_what_to_do(old, new, wanted):
    assert f"p.yml:{wanted}" in problems(changed(old, new))


@pytest.mark.parametrize("field", ["http"])
def test_field_that_is_not_enforced_yet_is_refused(field):
    text = f'10:7: error TCM1206: "{field}" is not supported in this release; remove it'
    assert problems(changed("id: pg", f"id: pg\n      {field}: x")) == [f"p.yml:{text}"]


def test_two_rules_of_a_policy_cannot_share_an_id():
    text = POLICY + "  egress:\n    - {id: pg, to: [{entity: any}], ports: [any]}\n"
    assert problems(text) == ['p.yml:13:12: error TCM1402: rule "pg" exists already in line 9']


def test_every_fault_of_every_file_is_reported_at_once():
    one = changed("protect", "protekt").replace("tcp/5432", "tcp/0")
    two = changed("[db]", "[db")
    with pytest.raises(PolicyError) as caught:
        parse_policies([("b.yml", one), ("a.yml", two)])
    places = [line.partition(": ")[0] for line in caught.value.problems]
    assert places == ["a.yml:6:24", "b.yml:5:9", "b.yml:11:15"]


def test_documents_before_a_fault_of_syntax_are_read():
    faulty = changed("protect", "protekt")
    places = [line.partition(": ")[0] for line in problems(f"{faulty}---\n[")]
    assert places == ["p.yml:5:9", "p.yml:13:2"]


def test_what_is_no_mapping_is_one_fault():
    for text in ("- a", "a", "3"):
        assert len(problems(text)) == 1


def test_every_code_has_a_title_and_a_number_of_its_own():
    assert set(TITLES) == set(Code)
    assert all(code.title for code in Code)
