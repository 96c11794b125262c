"""The action plugin as a playbook runs it: real variables and templates, files written whole or not at all."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tcmicro_agent.policy import bundle

ROOT = Path(__file__).resolve().parents[2]

INVENTORY = """\
tcmicro:
  vars:
    kind: "{{ inventory_hostname[:-1] }}"
    tcmicro_labels: {kind: "{{ kind }}", rack: 7}
  children:
    web: {hosts: {web1: {ansible_host: 10.0.0.1}, web2: {tcmicro_addresses: ["{{ net }}.2"], net: 10.0.0}}}
    db: {hosts: {db1: {ansible_host: 10.0.0.3}}}
elsewhere:
  hosts: {other1: {ansible_host: 10.0.0.9}}
"""

POLICY = """\
apiVersion: tcmicro/v1
kind: Policy
metadata: {name: db-in}
spec:
  mode: protect
  applyTo: {groups: [db]}
  default: {ingress: deny, egress: allow}
  ingress:
    - {id: pg, from: [{labels: {kind: web, rack: 7}}], ports: [tcp/5432]}
"""

POLICIES = {
    "good/db.yml": POLICY,
    "good/none.yaml": "# nothing\n",
    "good/README.md": "not a policy",
    "faulty/a.yml": POLICY.replace("protect", "protekt").replace("tcp/5432", "tcp/0"),
    "faulty/b.yml": "[",
    "latin/a.yml": b"kind: Policy # \xe9\n",
    "unknown/a.yml": POLICY.replace("[db]", "[other]").replace("kind: web", "kind: wbe"),
    "lifted/all.yml": "",
    "empty/README.md": "",
}

CASES = {
    "good": {},
    "again": {"policies": "good", "directory": "good"},
    "check": {"policies": "good", "check": True},
    "faulty": {},
    "latin": {},
    "unknown": {},
    "lifted": {},
    "empty": {},
    "missing": {},
    "group": {"policies": "good", "hosts_group": "nobody"},
}


def task(name, policies=None, directory=None, hosts_group="tcmicro", check=False):
    return {
        "name": f"Case {name}",
        "tcmicro.fleet.bundles": {
            "policies": f"{{{{ top }}}}/policies/{policies or name}",
            "directory": f"{{{{ top }}}}/bundles/{directory or name}",
            "hosts_group": hosts_group,
        },
        "register": name,
        "check_mode": check,
        "ignore_errors": True,
    }


@pytest.fixture(scope="module")
def top(tmp_path_factory):
    """The directory of one run of all cases, limited to one host, with each case's result in results.json."""
    top = tmp_path_factory.mktemp("bundles")
    (top / "hosts.yml").write_text(INVENTORY)
    for name, content in POLICIES.items():
        path = top / "policies" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    results = "{{ {" + ", ".join(f"'{name}': {name}" for name in CASES) + "} | to_json }}"
    save = {"ansible.builtin.copy": {"content": results, "dest": f"{top}/results.json"}}
    tasks = [*(task(name, **case) for name, case in CASES.items()), {**save, "connection": "local"}]
    (top / "play.yml").write_text(
        json.dumps([{"hosts": "tcmicro", "gather_facts": False, "tasks": tasks}])
    )
    command = ["playbook", "-i", f"{top}/hosts.yml", "-e", f"top={top}", "--limit", "web1"]
    subprocess.run(
        [sys.executable, "-m", "ansible", *command, str(top / "play.yml")],
        env={**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "PYTHONPATH": str(ROOT)},
        cwd=ROOT,
        check=True,
        timeout=120,
        stdout=sys.stderr,
    )
    return top


@pytest.fixture(scope="module")
def results(top):
    return json.loads((top / "results.json").read_text())


def message(results, name):
    """What a failed case said, without Ansible's own words around it."""
    return results[name]["msg"].removeprefix("Task failed: ").removeprefix("Action failed: ")


def test_every_host_of_the_group_gets_a_bundle_whatever_the_limit(results):
    assert sorted(results["good"]["bundles"]) == ["db1", "web1", "web2"]
    assert not results["good"]["changed"]


def test_bundles_lie_where_it_says_under_their_digests(results, top):
    directory = Path(results["good"]["directory"])
    digests = results["good"]["bundles"]
    assert sorted(path.name for path in directory.iterdir()) == sorted(
        f"{digest}.json" for digest in digests.values()
    )
    for host, digest in digests.items():
        path = directory / f"{digest}.json"
        document = json.loads(path.read_bytes())
        assert path.read_bytes() == bundle.canonical(document)
        assert bundle.parse(document).host == host
        assert path.stat().st_mode & 0o777 == 0o644


def test_templates_in_variables_are_resolved(results):
    path = Path(results["good"]["directory"]) / f"{results['good']['bundles']['db1']}.json"
    document = json.loads(path.read_bytes())
    assert [e["network"] for e in document["endpoints"]] == ["10.0.0.1/32", "10.0.0.2/32"]
    assert document["identities"][0]["labels"] == {"kind": "web", "rack": "7"}
    assert document["sources"] == {"db-in/pg": "good/db.yml:9"}


def test_second_run_gives_the_same_digests(results):
    assert results["again"]["bundles"] == results["good"]["bundles"]


def test_check_mode_tells_digests_and_writes_nothing(results, top):
    assert results["check"]["bundles"] == results["good"]["bundles"]
    assert not (top / "bundles/check").exists()


def test_every_fault_is_told_one_on_a_line(results):
    assert message(results, "faulty").splitlines() == [
        'faulty/a.yml:5:9: error TCM1204: mode: "protekt" is not one of monitor, protect'
        ' (did you mean "protect"?)',
        'faulty/a.yml:9:64: error TCM1303: ports: "tcp/0": 0 is not a port (1-65535)',
        "faulty/b.yml:1:2: error TCM1001: not YAML: expected the node content, but found '<stream end>'",
    ]


def test_group_outside_the_fleet_is_unknown(results):
    lines = message(results, "unknown").splitlines()
    assert [line.partition(": ")[2][:15] for line in lines] == [
        "error TCM2002: ",
        "error TCM2004: ",
    ]


@pytest.mark.parametrize("name", ["faulty", "latin", "unknown", "empty", "missing", "group"])
def test_nothing_is_written_when_something_is_wrong(results, top, name):
    assert results[name]["msg"]
    assert not (top / "bundles" / name).exists()


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("latin", 'latin/a.yml:1:16: error TCM1001: character "\\udce9" is not allowed'),
        ("empty", "to lift every policy, leave one empty file there"),
        ("missing", "policies/missing is not a directory"),
        ("group", "hosts_group: the inventory has no group 'nobody' with hosts"),
    ],
)
def test_failure_says_what_to_do(results, name, wanted):
    assert wanted in message(results, name)


def test_empty_file_lifts_every_policy(results, top):
    for digest in results["lifted"]["bundles"].values():
        document = json.loads((top / f"bundles/lifted/{digest}.json").read_text())
        assert (document["rules"], document["mode"]) == ([], "monitor")
