"""The texts of the lab: inventory, ssh, host files and the status table."""

from __future__ import annotations

from dataclasses import replace

import yaml
from tcmicro_lab import documents
from tcmicro_lab.plan import hosts, plan


def test_inventory_has_connection_once_and_identity_per_host(wanted):
    lab = plan(wanted())
    fleet = yaml.safe_load(documents.inventory(lab, hosts(6)))["tcmicro"]
    assert fleet["vars"]["ansible_ssh_common_args"] == "-F /checkout/.lab/ssh_config"
    assert fleet["vars"]["ansible_control_path_dir"] == f"/run/{lab.name}"
    assert list(fleet["children"]) == ["web", "db", "client"]
    assert fleet["children"]["web"]["hosts"]["web2"] == {
        "ansible_host": "10.77.1.2",
        "tcmicro_addresses": ["10.77.1.2", "fd77::1:2"],
        "tcmicro_labels": {"tier": "frontend", "env": "lab"},
        "tcmicro_site": "south",
        "tcmicro_rack": "south-1",
    }


def test_hosts_are_known_by_name_and_both_addresses():
    text = documents.known_hosts(hosts(1), {"web1": "ssh-ed25519 AAAA comment\n"})
    assert text == "web1,10.77.1.1,fd77::1:1 ssh-ed25519 AAAA\n"


def test_ssh_config_finds_a_host_by_name_and_address_and_checks_its_key(wanted):
    text = documents.ssh_config(plan(wanted()), hosts(6))
    assert "Host db2 10.77.2.2 fd77::2:2\n  HostName 10.77.2.2\n" in text
    assert "StrictHostKeyChecking yes" in text


def test_hosts_differ_in_name_identity_and_address_and_know_each_other(wanted):
    members = hosts(6)
    files = [documents.host_files(plan(wanted()), host, members) for host in members]
    for path in ("/etc/hostname", "/etc/machine-id", "/etc/systemd/network/10-host0.network"):
        assert len({host[path] for host in files}) == 6, path
    assert len({host["/etc/hosts"] for host in files}) == 1
    assert "fd77::2:1 db1\n" in files[0]["/etc/hosts"]


def test_table_names_the_command_when_no_lab_is_up():
    assert documents.table({"state": "none", "directory": "/x/.lab", "hosts": []}) == [
        "no lab is up in /x/.lab (make lab-up HOSTS=6)"
    ]


def test_table_tells_stopped_hosts_from_running_ones():
    common = {"v4": "10.77.1.1", "v6": "fd77::1:1", "site": "north", "rack": "north-1"}
    rows = [
        {"name": "web1", "state": "running", "uptime": 3725.0, **common},
        {"name": "db1", "state": "stopped", "uptime": None, **common},
    ]
    table = documents.table({"state": "partial", "name": "tcm-0", "directory": "/x", "hosts": rows})
    assert table[0] == "lab tcm-0: partial, 2 hosts"
    assert table[2].split()[-2:] == ["running", "1h02m"]
    assert table[3].split()[-2:] == ["stopped", "-"]


def test_virtual_machines_are_given_time_to_answer(wanted):
    lab = plan(replace(wanted(1), images=("debian-12",)))
    assert "ConnectTimeout 60" in documents.ssh_config(lab, hosts(1))
    fleet = yaml.safe_load(documents.inventory(lab, hosts(1)))["tcmicro"]
    assert fleet["vars"]["ansible_ssh_timeout"] == 60
    assert "ansible_ssh_timeout" not in documents.inventory(plan(wanted(1)), hosts(1))
