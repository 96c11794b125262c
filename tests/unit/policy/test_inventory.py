"""The inventory is parsed whole or refused with every fault of it."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from tcmicro_agent.errors import PolicyError
from tcmicro_agent.policy.inventory import Host, parse_inventory


def host(addresses=("10.0.0.1",), groups=("web",), labels=None):
    return {"groups": list(groups), "labels": labels or {}, "addresses": list(addresses)}


def problems(document):
    with pytest.raises(PolicyError) as caught:
        parse_inventory(document)
    return caught.value.problems


def test_hosts_and_all_they_have_are_sorted():
    web = host(["fd00::1", "10.0.0.2", "10.0.0.1"], ["web", "all"], {"tier": "x", "env": "y"})
    inventory = parse_inventory({"web2": host(["10.0.0.3"]), "web1": web})
    assert list(inventory.hosts) == ["web1", "web2"]
    assert inventory.hosts["web1"] == Host(
        name="web1",
        groups=("all", "web"),
        labels=(("env", "y"), ("tier", "x")),
        addresses=tuple(map(ip_address, ["10.0.0.1", "10.0.0.2", "fd00::1"])),
    )


def test_host_may_know_controller_and_resolvers():
    knows = {"controller": ["10.0.0.9"], "resolvers": ["fd00::53", "10.0.0.53", "10.0.0.53"]}
    inventory = parse_inventory({"a": host(), "b": {**host(["10.0.0.2"]), **knows}})
    known = inventory.hosts["b"]
    assert known.controller == (ip_address("10.0.0.9"),)
    assert known.resolvers == (ip_address("10.0.0.53"), ip_address("fd00::53"))
    assert (inventory.hosts["a"].controller, inventory.hosts["a"].resolvers) == ((), ())


def test_stub_on_loopback_is_no_resolver_that_rules_could_name():
    assert problems({"a": {**host(), "resolvers": ["127.0.0.53"], "controller": "x"}}) == [
        'inventory: error TCM2001: a.controller: "x" is not a list',
        'inventory: error TCM2001: a.resolvers[0]: "127.0.0.53" is no address that peers see',
    ]


def test_host_may_have_no_address():
    assert parse_inventory({"web1": host([])}).hosts["web1"].addresses == ()


@pytest.mark.parametrize(
    ("address", "wanted"),
    [
        ("web1.example", '"web1.example" is not an IP address'),
        ("10.0.0.0/8", '"10.0.0.0/8" is not an IP address'),
        ("127.0.0.1", '"127.0.0.1" is no address that peers see'),
        ("::1", '"::1" is no address that peers see'),
        ("0.0.0.0", '"0.0.0.0" is no address that peers see'),
        ("ff02::1", '"ff02::1" is no address that peers see'),
        ("fe80::1%eth0", '"fe80::1%eth0" must be a plain address, without zone or wrapped IPv4'),
        (
            "::ffff:10.0.0.1",
            '"::ffff:10.0.0.1" must be a plain address, without zone or wrapped IPv4',
        ),
    ],
)
def test_address_is_refused(address, wanted):
    assert problems({"web1": host([address])}) == [
        f"inventory: error TCM2001: web1.addresses[0]: {wanted}"
    ]


def test_two_hosts_cannot_share_an_address():
    assert problems({"a": host(), "b": host()}) == [
        "inventory: error TCM2001: b: 10.0.0.1 is the address of a too"
    ]


def test_all_faults_are_reported_at_once():
    document = {"a": {"groups": "web", "labels": {"x": True}, "adresses": []}, "b": 3}
    assert problems(document) == [
        'inventory: error TCM2001: a.groups: "web" is not a list',
        "inventory: error TCM2001: a.labels.x: true is not a string",
        "inventory: error TCM2001: a.addresses: is missing",
        "inventory: error TCM2001: b: 3 is not an object",
        'inventory: error TCM2001: a: unknown key "adresses" (did you mean "addresses"?)',
    ]
