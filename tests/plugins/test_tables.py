"""Small views: failsafe entries, findings, the status table."""

from __future__ import annotations

import pytest
from ansible_collections.tcmicro.fleet.plugins.plugin_utils import tables

from tests.plugins.looks import UNREACHABLE, look

SSH = {"direction": "ingress", "protocol": "tcp", "port": 22, "cidr": "10.0.0.1/32"}


@pytest.mark.parametrize(
    ("client", "cidr"),
    [
        ("10.0.0.1", "10.0.0.1/32"),
        ("fd77::1", "fd77::1/128"),
        ("::ffff:10.0.0.1", "10.0.0.1/32"),
        ("fe80::1%eth0", "fe80::1/128"),
    ],
)
def test_failsafe_is_seeded_from_the_connection(client, cidr):
    assert tables.failsafe(None, {"client": client, "port": 22}) == [{**SSH, "cidr": cidr}]


def test_no_connection_seeds_nothing():
    assert tables.failsafe(None, {}) == []


def test_given_list_stands_as_given_even_empty():
    assert tables.failsafe([], {"client": "10.0.0.1", "port": 22}) == []
    assert tables.failsafe([{"port": "22", "cidr": "10.0.0.1"}], {}) == [SSH]


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        ({"port": 22}, "is not an entry"),
        ("10.0.0.1", "is not an entry"),
        ({"port": 22, "cidr": "10.0.0.300"}, "tcmicro_agent_failsafe[0].cidr: '10.0.0.300'"),
        ({"port": 70000, "cidr": "10.0.0.1"}, "70000 is not a port (0-65535)"),
        ({"port": 22, "cidr": "10.0.0.1", "prot": "udp"}, "unknown prot"),
    ],
)
def test_wrong_failsafe_is_refused(entry, says):
    with pytest.raises(tables.FailsafeError) as refusal:
        tables.failsafe([entry], {})
    assert says in str(refusal.value)


def test_findings_are_those_that_are_not_ok():
    rows = [
        {"check": "btf", "level": "warn", "found": "missing", "needed": "present", "hint": "fine"},
        {"check": "root", "level": "ok", "found": "root", "needed": "root", "hint": ""},
    ]
    assert tables.findings(rows) == ["warn: btf is missing, needed present: fine"]


def test_status_has_a_line_for_every_host_also_the_silent_ones():
    looks = {"web1": look(), "db1": UNREACHABLE, "web2": look(status=None, problem="not installed")}
    head, *lines = tables.status_table(looks, ["web2", "web1", "db1", "db2"])
    assert head.split() == list(tables.COLUMNS)
    assert [line.split()[0] for line in lines] == ["db1", "db2", "web1", "web2"]
    assert "no contact: ssh: connect to host" in lines[0]
    assert "nothing was heard" in lines[1]
    assert lines[2].split()[1:6] == ["0.1.0", "3", "ab12", "protect", "4"]
    assert "not installed" in lines[3]


def test_per_host_leaves_out_what_is_not_there():
    hostvars = {"a": {"x": 1}, "b": {}}
    assert tables.per_host(["a", "b", "c"], hostvars, "x") == {"a": 1}
