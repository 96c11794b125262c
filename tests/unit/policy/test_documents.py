"""Documents of other kinds than Policy: what they mean, and what is said about what they are not."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from tcmicro_agent.errors import PolicyError
from tcmicro_agent.policy.intent import EndKind
from tcmicro_agent.policy.model import Action, Protocol, Service
from tcmicro_agent.policy.source import parse_documents

ADDRESSES = """\
apiVersion: tcmicro/v1
kind: AddressSet
metadata: {name: office, owner: it}
spec:
  cidrs: [192.0.2.0/24, "2001:db8::/32"]
"""
PORTS = """\
apiVersion: tcmicro/v1
kind: PortSet
metadata: {name: web}
spec:
  ports: [tcp/80, tcp/443, udp/443]
"""
TEST = """\
apiVersion: tcmicro/v1
kind: PolicyTest
metadata: {name: db}
spec:
  cases:
    - from: {host: web1}
      to: {group: db}
      port: tcp/5432
      expect: allow
    - from: {address: "2001:DB8::0"}
      to: {host: db1}
      port: icmp
      expect: deny
      description: nobody else
"""
TEXTS = {"AddressSet": ADDRESSES, "PortSet": PORTS, "PolicyTest": TEST}


def parse(text):
    return parse_documents([("p.yml", text)])


def problems(text):
    with pytest.raises(PolicyError) as caught:
        parse(text)
    return caught.value.problems


def test_set_of_addresses():
    (found,) = parse(ADDRESSES).address_sets
    assert found.name.text == "office"
    assert found.networks == (ip_network("192.0.2.0/24"), ip_network("2001:db8::/32"))


def test_set_of_ports():
    (found,) = parse(PORTS).port_sets
    assert found.name.text == "web"
    assert found.services == (
        Service(Protocol.TCP, 80, 80),
        Service(Protocol.TCP, 443, 443),
        Service(Protocol.UDP, 443, 443),
    )


def test_test_with_every_field():
    (found,) = parse(TEST).tests
    assert found.name.text == "db"
    one, other = found.cases
    assert [(end.kind, end.name.text) for end in (one.source, one.target)] == [
        (EndKind.HOST, "web1"),
        (EndKind.GROUP, "db"),
    ]
    assert (one.service, one.expect) == (Service(Protocol.TCP, 5432, 5432), Action.ALLOW)
    assert str(one.where) == "p.yml:6:7"
    assert (other.source.kind, other.source.name.text) == (EndKind.ADDRESS, "2001:db8::")
    assert (other.service, other.expect) == (Service(Protocol.ICMP), Action.DENY)


def test_documents_are_sorted_by_kind():
    found = parse("---\n".join(TEXTS.values()))
    assert [len(part) for part in (found.policies, found.address_sets, found.port_sets)] == [
        0,
        1,
        1,
    ]
    assert len(found.tests) == 1


RULE = """\
apiVersion: tcmicro/v1
kind: Policy
metadata: {name: p}
spec:
  mode: protect
  applyTo: {groups: [db]}
  default: {ingress: deny, egress: allow}
  ingress:
    - id: r
      from: [{PEER}]
      ports: [PORTS]
---
"""
LINKS = [
    # peer, ports, what is said
    (
        "addressSets: [ofice]",
        "any",
        '10:29: error TCM1403: there is no AddressSet "ofice" (did you mean "office"?)',
    ),
    ("addressSets: [web]", "any", '10:29: error TCM1403: there is no AddressSet "web"'),
    ("entity: any", "set:wbe", '11:15: error TCM1403: there is no PortSet "wbe" (did you'),
    ("entity: any", '"set:"', "11:15: error TCM1205: ports: must not be empty"),
    ("entity: any", "set:Web", '11:15: error TCM1401: ports: "Web" is not a name'),
    ("cidrs: [set:office]", "any", '10:23: error TCM1301: cidrs: "set:office" is not a network; a'),
    (
        "addressSets: [office], except: [10.0.0.0/8]",
        "any",
        "10:46: error TCM1301: 10.0.0.0/8 lies in none of the cidrs, or is all of one",
    ),
    (
        "cidrs: [10.0.0.0/8], except: [set:office]",
        "any",
        '10:45: error TCM1301: nothing of set "office" lies in the cidrs',
    ),
    ("except: [set:office]", "any", '10:14: error TCM1201: a peer has no "cidrs"'),
    (
        "addressSets: [office], groups: [web]",
        "any",
        '10:38: error TCM1204: "groups" cannot stand beside "addressSets"',
    ),
    (
        "addressSets: [office], entity: any",
        "any",
        '10:15: error TCM1204: "addressSets" cannot stand beside "entity"',
    ),
]


@pytest.mark.parametrize(("peer", "ports", "wanted"), LINKS)
def test_fault_of_a_reference_says_where_and_what_to_do(peer, ports, wanted):
    text = RULE.replace("PEER", peer).replace("PORTS", ports) + ADDRESSES + "---\n" + PORTS
    found = problems(text)
    assert any(line.startswith(f"p.yml:{wanted}") for line in found), found


def test_set_names_no_other_set():
    text = PORTS.replace("udp/443", "set:dns")
    assert problems(text) == [
        'p.yml:5:28: error TCM1303: ports: "set:dns" is not a port; a set names no other set'
    ]


@pytest.mark.parametrize("kind", TEXTS)
def test_two_documents_of_a_kind_cannot_share_a_name(kind):
    (found,) = problems(f"{TEXTS[kind]}---\n{TEXTS[kind]}")
    name = {"AddressSet": "office", "PortSet": "web", "PolicyTest": "db"}[kind]
    assert f'error TCM1402: {kind} "{name}" exists already at p.yml:3:18' in found


def test_sets_may_stand_in_any_file():
    text = RULE.replace("PEER", "addressSets: [office]").replace("PORTS", "set:web, tcp/80")
    found = parse_documents([("a.yml", text), ("b.yml", f"{ADDRESSES}---\n{PORTS}")])
    (rule,) = found.policies[0].rules
    assert rule.peers[0].networks == found.address_sets[0].networks
    assert rule.services == (Service(Protocol.TCP, 80, 80), *found.port_sets[0].services[1:])


FAULTS = [
    # kind, old text, new text, what is said
    ("AddressSet", "cidrs: [", "cidr: [", '5:3: error TCM1201: spec has no "cidrs"'),
    ("AddressSet", "192.0.2.0/24", "192.0.2.1/24", "5:11: error TCM1302: cidrs: "),
    ("AddressSet", "cidrs: [", "addressSets: [a]\n  cidrs: [", "5:3: error TCM1203: unknown key"),
    ("PortSet", "tcp/80", "80", "5:11: error TCM1303: ports: "),
    ("PortSet", "tcp/80, ", "tcp/443, ", '5:20: error TCM1304: ports: "tcp/443" stands twice'),
    (
        "PolicyTest",
        "{host: web1}",
        "{}",
        "6:13: error TCM1205: from must have one of host, group, address",
    ),
    (
        "PolicyTest",
        "{host: web1}",
        "{host: web1, group: web}",
        '6:33: error TCM1204: "group" cannot stand beside "host"',
    ),
    (
        "PolicyTest",
        "{host: web1}",
        "web1",
        '6:13: error TCM1202: from must be a mapping, not "web1"',
    ),
    ("PolicyTest", '"2001:DB8::0"', "web1.example", "10:23: error TCM1301: address: "),
    (
        "PolicyTest",
        "tcp/5432",
        "tcp/1-9",
        '8:13: error TCM1303: port: "tcp/1-9" is not one port; write it like tcp/5432 or icmp',
    ),
    ("PolicyTest", "tcp/5432", "any", '8:13: error TCM1303: port: "any" is not one port'),
    ("PolicyTest", "expect: allow", "expect: alow", '9:15: error TCM1204: expect: "alow" is not'),
    ("PolicyTest", "to: {group: db}", "too: {group: db}", '7:7: error TCM1203: unknown key "too"'),
]


@pytest.mark.parametrize(("kind", "old", "new", "wanted"), FAULTS)
def test_fault_says_where_what_and_what_to_do(kind, old, new, wanted):
    assert TEXTS[kind].count(old) == 1
    found = problems(TEXTS[kind].replace(old, new))
    assert any(line.startswith(f"p.yml:{wanted}") for line in found), found
