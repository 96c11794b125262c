"""Policies and inventories are read as the playbooks read them, and what cannot be read is said."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tcmicro_agent.errors import PolicyError
from tcmicro_agent.policy.resolve import resolve
from tcmicro_agent.policy.source.nodes import MAX_LENGTH
from tcmicro_agent.workspace import load, read_files, read_inventory

ROOT = Path(__file__).resolve().parents[3]
POLICY = """\
apiVersion: tcmicro/v1
kind: Policy
metadata: {name: NAME}
spec:
  mode: protect
  applyTo: {groups: [db]}
  default: {ingress: deny, egress: allow}
"""
STATIC = """\
tcmicro:
  children:
    web: {hosts: {web1: {ansible_host: 10.0.0.1, site: north}}}
    db: {hosts: {db1: {tcmicro_addresses: ["{{ net }}.2", "fd00::2"]}}}
  vars: {net: 10.0.0, tcmicro_labels: {env: prod}}
other: {hosts: {stray: {ansible_host: 10.0.0.9}}}
"""
DYNAMIC = """\
#!/bin/sh
echo '{"tcmicro": {"hosts": ["d1"]}, "_meta": {"hostvars": {"d1": {"ansible_host": "10.0.1.1"}}}}'
"""
CONSTRUCTED = """\
plugin: ansible.builtin.constructed
strict: true
groups: {fast: (site | default('')) == 'north'}
"""


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A directory to stand in, with policies and an inventory; no ansible.cfg."""
    monkeypatch.chdir(tmp_path)
    for name, text in {
        "policies/b.yml": POLICY.replace("NAME", "b"),
        "policies/team/a.yaml": POLICY.replace("NAME", "a"),
        "policies/.hidden.yml": "not: a policy",
        "policies/notes.txt": "not a policy",
        "hosts.yml": STATIC,
        "group_vars/db.yml": "tcmicro_labels: {env: prod, tier: data}",
        "host_vars/web1.yml": "tcmicro_labels: {env: test}",
    }.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


def said(work) -> list[str]:
    with pytest.raises(PolicyError) as caught:
        work()
    return caught.value.problems


def test_files_below_a_directory_are_named_from_it(here):
    assert list(read_files([here / "policies"]).texts) == ["policies/b.yml", "policies/team/a.yaml"]


def test_a_file_has_the_name_it_has_in_its_directory_and_is_read_once(here):
    files = read_files([Path("policies/b.yml"), Path("policies")])
    assert list(files.texts) == ["policies/b.yml", "policies/team/a.yaml"]
    assert files.paths["policies/b.yml"] == Path("policies/b.yml")


def test_files_of_one_name_are_told_apart_by_their_paths(here):
    for site in ("x", "y"):
        (here / site / "policies").mkdir(parents=True)
        (here / site / "policies/p.yml").write_text("")
    names = list(read_files([Path("x/policies"), Path("y/policies")]).texts)
    assert names == ["x/policies/p.yml", "y/policies/p.yml"]


def test_a_link_back_up_ends(here):
    (here / "policies/loop").symlink_to(here / "policies", target_is_directory=True)
    assert len(read_files([here / "policies"]).texts) == 2


def test_all_that_is_unreadable_is_said_at_once(here):
    (here / "empty").mkdir()
    os.mkfifo(here / "pipe.yml")
    assert said(lambda: read_files([Path(p) for p in ("empty", "nowhere", "pipe.yml")])) == [
        "empty: error TCM1005: holds no *.yml; to lift every policy, leave one empty file there",
        "nowhere: error TCM1005: does not exist",
        "pipe.yml: error TCM1005: is neither a file nor a directory",
    ]


def test_a_file_that_cannot_be_read_is_said(here):
    (here / "policies/c.yml").symlink_to(
        "/proc/self/mem"
    )  # which not even root reads from its start
    assert said(lambda: read_files([Path("policies")])) == [
        "policies/c.yml: error TCM1005: cannot be read: Input/output error"
    ]


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"kind: \xff\xfe", "TCM1001"),
        (POLICY.encode("utf-16"), "TCM1001"),
        (POLICY.encode("utf-32-le"), "TCM1001"),
        (b"kind: a\x00b", "TCM1001"),
        (b"#" + b"x" * 9 * MAX_LENGTH, "TCM1004"),
    ],
    ids=["broken utf-8", "utf-16", "utf-32", "nul", "too long"],
)
def test_bytes_that_are_no_policy_are_refused_in_their_place(here, content, code):
    (here / "policies/b.yml").write_bytes(content)
    (line,) = said(lambda: load([Path("policies")], ["hosts.yml"]))
    assert line.startswith("policies/b.yml:1:")
    assert f"error {code}: " in line


def test_a_byte_order_mark_does_no_harm(here):
    text = (here / "policies/b.yml").read_text()
    (here / "policies/b.yml").write_text(text, encoding="utf-8-sig")
    assert len(load([], ["hosts.yml"]).policies) == 2


def test_policies_beside_the_inventory_are_those_that_are_meant(here):
    found = load([], ["hosts.yml"])
    assert [policy.name.text for policy in found.policies] == ["b", "a"]
    assert sorted(resolve(found.policies, found.inventory)) == ["db1", "web1"]


def test_hosts_have_their_variables_from_everywhere_templated(here):
    hosts = read_inventory(["hosts.yml"]).hosts
    assert sorted(hosts) == ["db1", "web1"]
    assert [str(address) for address in hosts["db1"].addresses] == ["10.0.0.2", "fd00::2"]
    assert hosts["db1"].labels == (("env", "prod"), ("tier", "data"))
    assert hosts["web1"].labels == (("env", "test"),)
    assert hosts["web1"].groups == ("tcmicro", "web")
    kinds = {type(word) for host in hosts.values() for word in (host.name, *host.groups)}
    kinds |= {type(word) for host in hosts.values() for pair in host.labels for word in pair}
    assert kinds == {str}


def test_static_dynamic_and_constructed_inventories_add_up(here):
    (here / "dynamic.sh").write_text(DYNAMIC)
    (here / "dynamic.sh").chmod(stat.S_IRWXU)
    (here / "zz_constructed.yml").write_text(CONSTRUCTED)
    hosts = read_inventory(["hosts.yml", "dynamic.sh", "zz_constructed.yml"], "all").hosts
    assert sorted(hosts) == ["d1", "db1", "stray", "web1"]
    assert [name for name, host in hosts.items() if "fast" in host.groups] == ["web1"]


def test_policies_inside_an_inventory_directory_are_no_inventory(here, capfd):
    assert sorted(read_inventory([str(here)], "web").hosts) == ["web1"]
    assert "policies" not in capfd.readouterr().err


@pytest.mark.parametrize(
    ("content", "wanted"),
    [
        ("[tcmicro", "bad: error TCM2101: Ansible cannot read it as an inventory; it says why"),
        ("[other]\nx", "bad: error TCM2101: no group 'tcmicro' with hosts; name the group with"),
        ("[tcmicro]\nx ansible_host={{y}}", "host x: error TCM2101: 'y' is undefined"),
        ("[tcmicro]\nx ansible_host=::1", "inventory: error TCM2001: x.addresses[0]: "),
    ],
)
def test_an_inventory_that_cannot_be_used_is_said(here, content, wanted):
    (here / "bad").write_text(content)
    assert said(lambda: read_inventory(["bad"]))[0].startswith(wanted)


def test_an_inventory_that_is_not_there_is_said(here):
    assert said(lambda: read_inventory(["nowhere"])) == [
        "nowhere: error TCM2101: there is no such inventory"
    ]


def test_without_ansible_it_is_said_what_to_install(here):
    """In a process of its own, where importing ansible fails as if it were not installed."""
    program = (
        "import sys\nsys.modules['ansible'] = None\n"
        "from tcmicro_agent.workspace import read_inventory\n"
        "try:\n    read_inventory(['hosts.yml'])\nexcept Exception as exc:\n    print(exc)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.stdout == (
        "inventory: error TCM2101: needs ansible-core; install tcmicro with its controller extra:"
        " pip install 'tcmicro[controller]'\n"
    )
