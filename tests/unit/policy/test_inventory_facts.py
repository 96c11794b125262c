"""Ansible's variables become the inventory that policies are resolved over."""

from __future__ import annotations

import pytest

from tcmicro_agent.policy.inventory_facts import inventory_document


def facts(**variables):
    return inventory_document({"h": variables}, ["h"])["h"]


@pytest.mark.parametrize(
    ("variables", "wanted"),
    [
        ({"tcmicro_addresses": ["10.0.0.1"], "ansible_host": "10.0.0.2"}, ["10.0.0.1"]),
        ({"tcmicro_addresses": [], "ansible_host": "10.0.0.2"}, []),
        ({"tcmicro_addresses": "10.0.0.1"}, "10.0.0.1"),
        ({"ansible_host": "10.0.0.2"}, ["10.0.0.2"]),
        ({"ansible_host": "fd00::1"}, ["fd00::1"]),
        ({"ansible_host": "web1.example.com"}, []),
        ({}, []),
    ],
)
def test_addresses_are_those_given_or_else_where_ansible_connects(variables, wanted):
    assert facts(**variables)["addresses"] == wanted


@pytest.mark.parametrize(
    ("labels", "wanted"),
    [
        ({"tier": "web", "rack": 7}, {"tier": "web", "rack": "7"}),
        ({"prod": True, "zone": None}, {"prod": True, "zone": None}),
        ("web", "web"),
        (None, {}),
    ],
)
def test_labels_are_text_or_left_to_be_refused(labels, wanted):
    assert facts(tcmicro_labels=labels)["labels"] == wanted


def test_addresses_of_controller_and_resolvers_are_those_that_the_host_is_told():
    told = facts(tcmicro_controller_addresses=["10.0.0.9"], tcmicro_resolvers="10.0.0.53")
    assert (told["controller"], told["resolvers"]) == (["10.0.0.9"], "10.0.0.53")
    assert facts(tcmicro_resolvers=[])["resolvers"] == []
    assert not {"controller", "resolvers"} & facts(tcmicro_resolvers=None).keys()


def test_groups_are_those_of_the_host():
    assert facts(group_names=["tcmicro", "web"])["groups"] == ["tcmicro", "web"]


def test_only_the_hosts_asked_for_are_taken():
    assert list(inventory_document({"a": {}, "b": {}}, ["b"])) == ["b"]
