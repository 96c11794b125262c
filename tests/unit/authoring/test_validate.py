"""`tc-micro policy validate`: what it prints in each form, and its exit codes. It needs no root."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tcmicro_agent.cli.main import main

ROOT = Path(__file__).resolve().parents[3]
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
    - {id: web, from: [{entity: any}], ports: [tcp/80]}
"""
HOSTS = """\
[tcmicro:children]
web
db
[web]
web1 ansible_host=10.0.0.1
[db]
db1 ansible_host=10.0.0.2
"""


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies/db.yml").write_text(POLICY)
    (tmp_path / "hosts").write_text(HOSTS)
    return tmp_path


@pytest.fixture
def run(capsys):
    def run(*arguments: str) -> tuple[int, str]:
        code = main(["policy", "validate", *arguments])
        return code, capsys.readouterr().out

    return run


def test_without_an_inventory_it_says_that_it_looked_at_syntax_only(run):
    code, out = run()
    assert code == 0
    assert out == (
        "0 errors, 0 warnings: 1 policy in 1 file, syntax only;"
        " with -i INVENTORY it is checked what they come to\n"
    )


def test_a_warning_is_shown_and_is_no_failure(run):
    assert run("-i", "hosts") == (
        0,
        "policies/db.yml:10:24: warning TCM3005: lets every flow of it come in from anywhere\n"
        "      - {id: web, from: [{entity: any}], ports: [tcp/80]}\n"
        "                         ^\n"
        "0 errors, 1 warning: 1 policy in 1 file, for 2 hosts\n",
    )


def test_strict_makes_it_one_and_ignore_leaves_it_out(run):
    code, out = run("-i", "hosts", "--strict")
    assert code == 6
    assert "error TCM3005" in out
    code, out = run("-i", "hosts", "--strict", "--ignore", "TCM3005")
    assert (code, out.partition(":")[0]) == (0, "0 errors, 0 warnings")


def test_an_error_cannot_be_ignored(run, capsys):
    with pytest.raises(SystemExit) as caught:
        run("--ignore", "TCM1204")
    assert caught.value.code == 2
    assert "'TCM1204' is no warning (TCM3001, " in capsys.readouterr().err


def test_faults_of_files_and_inventory_are_told_together(run, here):
    (here / "policies/db.yml").write_text(POLICY.replace("protect", "protekt"))
    code, out = run("-i", "nowhere")
    assert code == 6
    assert "TCM1204" in out
    assert "nowhere: error TCM2101: there is no such inventory\n" in out
    assert "; the inventory cannot be used" in out


def test_the_controller_may_not_be_cut(run):
    code, out = run("-i", "hosts", "--controller", "10.0.0.1")
    assert code == 6
    assert "TCM3011: keeps the controller 10.0.0.1 out of db1: tcp/22 is refused\n" in out


@pytest.mark.parametrize("how", [["-o", "json"], ["--json"]])
def test_json_is_one_document(run, how):
    code, out = run("-i", "hosts", *how)
    doc = json.loads(out)
    (found,) = doc.pop("diagnostics")
    assert (code, doc["apiVersion"], doc["kind"]) == (0, "tcmicro/v1", "PolicyValidation")
    assert (doc["ok"], doc["errors"], doc["warnings"]) == (True, 0, 1)
    assert doc["checked"] == {"files": 1, "policies": 1, "inventories": ["hosts"], "hosts": 2}
    assert found == {
        "file": "policies/db.yml",
        "line": 10,
        "column": 24,
        "code": "TCM3005",
        "severity": "warning",
        "message": "lets every flow of it come in from anywhere",
        "docs": "docs/errors.md#tcm3005",
        "source": "    - {id: web, from: [{entity: any}], ports: [tcp/80]}",
        "caret": [23, 1],
    }


def test_sarif_names_rules_places_and_levels(run, here):
    (here / "policies/db.yml").write_text(POLICY.replace("protect", "protekt"))
    code, out = run("-o", "sarif", "-i", "nowhere")
    log = json.loads(out)
    (found,) = log["runs"]
    assert (code, log["version"]) == (6, "2.1.0")
    rules = found["tool"]["driver"]["rules"]
    assert [rule["id"] for rule in rules] == ["TCM1204", "TCM2101"]
    assert [result["ruleIndex"] for result in found["results"]] == [0, 1]
    assert found["results"][0]["locations"] == [
        {
            "physicalLocation": {
                "artifactLocation": {"uri": "policies/db.yml"},
                "region": {"startLine": 5, "startColumn": 9},
            }
        }
    ]
    assert "region" not in found["results"][1]["locations"][0]["physicalLocation"]


# Objects of the log with the members that the published schema of SARIF 2.1.0 allows (of those we use) and requires.
MULTI = {
    "type": "object",
    "additionalProperties": False,
    "required": ["text"],
    "properties": {"text": {"type": "string"}},
}
URI = {"type": "string", "pattern": r"^https://\S+$"}
COUNT = {"type": "integer", "minimum": 1}
LEVEL = {"enum": ["none", "note", "warning", "error"]}


def closed(required, **properties):
    return {
        "type": "object",
        "additionalProperties": False,
        "required": required,
        "properties": properties,
    }


def many(items):
    return {"type": "array", "items": items, "uniqueItems": True}


RULE = closed(
    ["id"],
    id={"type": "string"},
    name={"type": "string"},
    shortDescription=MULTI,
    fullDescription=MULTI,
    help=MULTI,
    helpUri=URI,
    defaultConfiguration=closed([], level=LEVEL),
)
DRIVER = closed(
    ["name"],
    name={"type": "string"},
    version={"type": "string"},
    informationUri=URI,
    rules=many(RULE),
)
PLACE = closed(
    [],
    artifactLocation=closed([], uri={"type": "string", "pattern": r"^[A-Za-z0-9._~/%:-]+$"}),
    region=closed([], startLine=COUNT, startColumn=COUNT),
)
RESULT = closed(
    ["message"],
    ruleId={"type": "string"},
    ruleIndex={"type": "integer", "minimum": 0},
    level=LEVEL,
    message=MULTI,
    locations={"type": "array", "items": closed([], physicalLocation=PLACE)},
)
LOG = closed(
    ["version", "runs"],
    **{"$schema": URI},
    version={"const": "2.1.0"},
    runs={
        "type": "array",
        "items": closed(
            ["tool"],
            tool=closed(["driver"], driver=DRIVER),
            columnKind={"enum": ["utf16CodeUnits", "unicodeCodePoints"]},
            results={"type": "array", "items": RESULT},
        ),
    },
)


@pytest.mark.parametrize("arguments", [["-i", "hosts"], ["-i", "nowhere"], ["odd name é.yml"], []])
def test_sarif_has_the_published_structure(run, here, arguments):
    import jsonschema

    (here / "odd name é.yml").write_text("[\n")
    _, out = run("-o", "sarif", *arguments)
    jsonschema.validate(json.loads(out), LOG)


def test_where_the_packages_of_the_controller_are_missing_it_says_so(here):
    """As on a fleet host, in a process of its own."""
    program = (
        "import sys\nsys.modules['yaml'] = None\n"
        "from tcmicro_agent.cli.main import main\nsys.exit(main(['policy', 'validate']))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 1
    assert done.stderr == (
        "tc-micro: yaml is not installed here; policies are written where Ansible runs"
        " (pip install 'tcmicro[controller]')\n"
    )
