"""`tc-micro policy explain|diff|test|describe|graph`: what they print, and their exit codes. They need no root."""

from __future__ import annotations

import json
import subprocess
from xml.etree import ElementTree as ET

import pytest

from tcmicro_agent.cli.main import main

POLICY = """\
apiVersion: tcmicro/v1
kind: Policy
metadata: {name: db-in}
spec:
  mode: protect
  applyTo: {groups: [db]}
  default: {ingress: deny, egress: allow}
  ingress:
    - {id: pg, from: [{groups: [web]}], ports: [tcp/5432]}
"""
TESTS = """\
apiVersion: tcmicro/v1
kind: PolicyTest
metadata: {name: shop}
spec:
  cases:
    - {from: {group: web}, to: {host: db1}, port: tcp/5432, expect: allow}
    - {from: {address: 192.0.2.1}, to: {group: db}, port: tcp/22, expect: allow}
"""
HOSTS = """\
[tcmicro:children]
web
db
[web]
web1 ansible_host=10.0.0.1
web2 ansible_host=10.0.0.2
[db]
db1 ansible_host=10.0.0.3
"""


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("policies", "newer"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "db.yml").write_text(POLICY)
    (tmp_path / "hosts").write_text(HOSTS)
    return tmp_path


@pytest.fixture
def run(capsys):
    def run(*arguments: str) -> tuple[int, str]:
        code = main(["policy", *arguments, "-i", "hosts"])
        return code, capsys.readouterr().out

    return run


@pytest.mark.parametrize(
    ("source", "target", "code", "verdict"),
    [
        ("web1", "db1:5432/tcp", 0, "allow"),
        ("db1", "web1:5432/tcp", 0, "allow"),
        ("web1", "db1:22/tcp", 3, "deny"),
        ("192.0.2.1", "group:db:5432/tcp", 3, "deny"),
        ("group:tcmicro", "10.0.0.3:5432/tcp", 0, "allow"),
        ("group:tcmicro", "group:tcmicro:5433/tcp", 4, "undecidable"),
    ],
)
def test_explain_exits_by_the_verdict(run, source, target, code, verdict):
    found, out = run("explain", source, target, "--json")
    document = json.loads(out)
    assert (found, document["verdict"]) == (code, verdict)
    assert document["kind"] == "PolicyExplanation"


def test_explain_in_words(run):
    code, out = run("explain", "web1", "db1:22/tcp")
    assert (code, out.splitlines()[0]) == (3, "DENIED  web1 (web) -> db1 (db) tcp/22")
    assert "add tcp/22 to ports of db-in/pg at policies/db.yml:9" in out


def test_explain_at_another_time(run, here):
    timed = POLICY.replace("ports:", 'expires: "2030-01-01T00:00:00Z", ports:')
    (here / "policies/db.yml").write_text(timed)
    assert run("explain", "web1", "db1:5432/tcp", "--at", "2029-12-31T23:59:59Z")[0] == 0
    assert run("explain", "web1", "db1:5432/tcp", "--at", "2030-01-01T00:00:00Z")[0] == 3


@pytest.mark.parametrize("target", ["db1", "db1:22", "db1:0/tcp", "db1:22/gre", ":22/tcp"])
def test_explain_needs_a_port_with_its_protocol(run, target, capsys):
    with pytest.raises(SystemExit) as caught:
        run("explain", "web1", target)
    assert caught.value.code == 2
    assert "tc-micro policy explain:" in capsys.readouterr().err


def test_unknown_names_are_invalid_input(run, capsys):
    assert run("explain", "wbe1", "db1:22/tcp", "--json")[0] == 6
    assert main(["policy", "describe", "bd1", "-i", "hosts"]) == 6
    assert main(["policy", "graph", "--group", "wbe", "-i", "hosts"]) == 6
    assert capsys.readouterr().err.count("did you mean") == 2


def test_diff_of_what_is_the_same(run, here):
    (here / "newer/db.yml").write_text("# the same\n" + POLICY.replace("id: pg", "id: sql"))
    assert run("diff", "policies", "newer") == (0, "nothing changes in meaning\n")
    code, out = run("diff", "policies", "newer", "--json")
    assert (code, json.loads(out)["different"], json.loads(out)["phases"]) == (0, False, [])


def test_diff_in_each_form(run, here):
    (here / "newer/db.yml").write_text(POLICY.replace("tcp/5432", "tcp/5432-5433"))
    line = "+ web -> db1  tcp/5433  now db-in/pg (newer/db.yml:9); was default deny of db-in"
    assert run("diff", "policies", "newer") == (3, f"{line}\n1 opens\n")
    code, out = run("diff", "policies", "newer", "-o", "markdown")
    assert (code, "| opens | web | db1 | `tcp/5433` |" in out) == (3, True)
    code, out = run("diff", "policies", "newer", "-o", "json")
    [change] = json.loads(out)["phases"][0]["connections"]
    assert (code, change["change"], change["services"]) == (3, "open", ["tcp/5433"])
    assert change["from"] == {"name": "web", "hosts": ["web1", "web2"], "networks": []}


def test_diff_tells_what_comes_later(run, here):
    timed = POLICY.replace("ports:", 'expires: "2099-01-01T00:00:00Z", ports:')
    (here / "newer/db.yml").write_text(timed)
    code, out = run("diff", "policies", "newer")
    assert code == 3
    assert out.splitlines()[:2] == ["nothing changes in meaning", "from 2099-01-01T00:00:00Z:"]
    assert out.splitlines()[2].startswith("- web -> db1  tcp/5432  now default deny of db-in")


def git(*arguments):
    who = ("-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "commit.gpgsign=false")
    subprocess.run(["git", *who, *arguments], check=True, capture_output=True, timeout=30)


def test_diff_with_a_revision(run, here):
    git("init", "-q")
    git("add", "policies")
    git("commit", "-qm", "first")
    assert run("diff", "HEAD:policies", "policies")[0] == 0
    (here / "policies/db.yml").write_text(POLICY.replace("5432", "5433"))
    assert run("diff", "HEAD:policies", "policies")[0] == 3
    assert run("diff", "HEAD:elsewhere", "policies")[0] == 6
    assert run("diff", "nosuch:policies", "policies")[0] == 6


def test_cases_that_hold_and_one_that_does_not(run, here):
    (here / "policies/test.yml").write_text(TESTS)
    code, out = run("test", "--junit", "report.xml")
    rows = [line.split() for line in out.splitlines()[:3]]
    assert code == 3
    assert [row[0] for row in rows] == ["TEST", "ok", "FAILED"]
    assert "policies/test.yml:7: expected allow, is deny" in out
    assert out.endswith("2 cases, 1 failed\n")
    report = ET.parse(here / "report.xml").getroot()
    assert report.attrib == {"tests": "2", "failures": "1", "errors": "0"}
    failed = [case for case in report.iter("testcase") if case.find("failure") is not None]
    assert [case.get("name") for case in failed] == ["192.0.2.1 -> group:db tcp/22"]
    assert "to allow: add to ingress of policy db-in" in failed[0].find("failure").text


def test_all_cases_hold(run, here):
    (here / "policies/test.yml").write_text(
        TESTS.replace("tcp/22, expect: allow", "tcp/22, expect: deny")
    )
    code, out = run("test", "--json")
    assert (code, json.loads(out)["failed"]) == (0, 0)


def test_no_test_at_all_is_invalid_and_so_is_a_stale_name(run, here):
    assert run("test")[0] == 6
    (here / "policies/test.yml").write_text(TESTS.replace("host: db1", "host: db7"))
    assert run("test")[0] == 6


def test_policy_described(run):
    code, out = run("describe", "db-in", "--json")
    found = json.loads(out)
    assert (code, found["kind"], found["applies_to"]["hosts"]) == (0, "PolicyDescription", ["db1"])
    assert found["rules"][0]["peers"] == ["web"]
    assert found["identities"][0]["addresses"] == ["10.0.0.1/32", "10.0.0.2/32"]
    assert found["tables"] == {
        "hosts": 2,
        "networks": 0,
        "identities": 1,
        "rules": 1,
        "entries": 1,
    }


def test_host_described(run):
    code, out = run("describe", "db1")
    assert code == 0
    assert "policies     db-in (policies/db.yml:3)" in out.splitlines()
    assert "ingress    allow   web    tcp/5432  db-in/pg  policies/db.yml:9" in out.splitlines()


def test_host_under_no_policy_described(run):
    assert "mode         allows everything" in run("describe", "web1")[1].splitlines()


def test_name_of_a_policy_and_a_host_must_say_which(run, here):
    (here / "policies/db.yml").write_text(POLICY.replace("name: db-in", "name: db1"))
    assert run("describe", "db1")[0] == 6
    assert run("describe", "host:db1", "--json")[0] == 0
    assert json.loads(run("describe", "policy:db1", "--json")[1])["kind"] == "PolicyDescription"


@pytest.mark.parametrize(
    ("form", "begins"),
    [("dot", "digraph"), ("svg", "<svg"), ("mermaid", "flowchart"), ("json", "{")],
)
def test_graph_in_each_form(run, form, begins):
    code, out = run("graph", "-o", form)
    assert (code, out.startswith(begins)) == (0, True)
    assert "5432" in out


def test_graph_of_a_group(run):
    edges = json.loads(run("graph", "-o", "json", "--group", "db")[1])["edges"]
    assert edges
    assert all("db" in (e["from"], e["to"]) or e["from"] == "world" for e in edges)
