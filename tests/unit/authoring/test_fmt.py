"""`tc-micro policy fmt`: what it writes, prints and returns."""

from __future__ import annotations

import json

import pytest

from tcmicro_agent.cli.main import main

GOOD = "apiVersion: tcmicro/v1\nkind: Policy\n"
BAD = "kind: 'Policy'\napiVersion: tcmicro/v1 # x\n"
MADE = "apiVersion: tcmicro/v1  # x\nkind: Policy\n"


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies/good.yml").write_text(GOOD)
    (tmp_path / "policies/bad.yml").write_text(BAD)
    (tmp_path / "policies/bad.yml").chmod(0o640)
    return tmp_path


@pytest.fixture
def run(capsys):
    def run(*arguments: str) -> tuple[int, str]:
        code = main(["policy", "fmt", *arguments])
        return code, capsys.readouterr().out

    return run


def test_it_writes_what_differs_and_says_so(run, here):
    assert run() == (0, "policies/bad.yml: formatted\n1 file of 2 formatted\n")
    assert (here / "policies/bad.yml").read_text() == MADE
    assert (here / "policies/bad.yml").stat().st_mode & 0o777 == 0o640
    assert sorted(path.name for path in (here / "policies").iterdir()) == ["bad.yml", "good.yml"]
    assert run() == (0, "0 files of 2 formatted\n")


def test_check_writes_nothing_and_fails(run, here):
    assert run("--check") == (
        3,
        "policies/bad.yml: would be formatted\n1 file of 2 would be formatted\n",
    )
    assert (here / "policies/bad.yml").read_text() == BAD
    assert run("--check", "policies/good.yml")[0] == 0


def test_diff_shows_what_would_change_and_writes_nothing(run, here):
    code, out = run("--diff")
    assert code == 0
    assert out.splitlines()[:7] == [
        "--- policies/bad.yml",
        "+++ policies/bad.yml (formatted)",
        "@@ -1,2 +1,2 @@",
        "-kind: 'Policy'",
        "-apiVersion: tcmicro/v1 # x",
        "+apiVersion: tcmicro/v1  # x",
        "+kind: Policy",
    ]
    assert (here / "policies/bad.yml").read_text() == BAD


def test_json_lists_the_files(run):
    code, out = run("--check", "--json")
    doc = json.loads(out)
    assert (code, doc["kind"], doc["changed"], doc["written"]) == (
        3,
        "PolicyFormat",
        ["policies/bad.yml"],
        False,
    )


def test_nothing_is_written_while_one_file_is_broken(run, here, capsys):
    (here / "policies/z.yml").write_text("[")
    assert main(["policy", "fmt"]) == 6
    assert "policies/z.yml:1:2: error TCM1001: " in capsys.readouterr().err
    assert (here / "policies/bad.yml").read_text() == BAD


def test_a_link_stays_a_link(run, here):
    (here / "elsewhere.yml").write_text(BAD)
    (here / "policies/link.yml").symlink_to("../elsewhere.yml")
    run()
    assert (here / "policies/link.yml").is_symlink()
    assert (here / "elsewhere.yml").read_text() == MADE
