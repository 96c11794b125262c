"""Completion as shells do it, and what a page of man(7) says to its readers."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from tcmicro_agent.cli.completion import SHELLS, script
from tcmicro_agent.cli.grammar import nodes
from tcmicro_agent.cli.parser import parser
from tools import man, shell

NODES = list(nodes(parser()))
BASH = """
source {file}
COMP_WORDS=({words} "{current}")
COMP_CWORD=$(( ${{#COMP_WORDS[@]}} - 1 ))
_tc_micro
printf '%s\\n' "${{COMPREPLY[@]}}"
complete -p tc-micro >&2
"""


@pytest.fixture(scope="module")
def scripts(tmp_path_factory):
    folder = tmp_path_factory.mktemp("completion")
    for name in SHELLS:
        (folder / name).write_text(script(name, NODES))
    return folder


def completed(scripts, words: str, current: str) -> set[str]:
    code = BASH.format(file=scripts / "bash", words=words, current=current)
    argv = ["bash", "--norc", "-euc", code]
    done = subprocess.run(argv, capture_output=True, text=True, check=True, cwd=scripts)
    assert "-F _tc_micro tc-micro" in done.stderr
    return set(done.stdout.split())


def test_bash_offers_verbs_of_where_one_is(scripts):
    assert completed(scripts, "tc-micro", "se") == {"session"}
    assert completed(scripts, "tc-micro session", "") >= {"list", "count", "flush", "kill"}
    assert "apply" not in completed(scripts, "tc-micro session", "")
    assert completed(scripts, "tc-micro", "") >= {node.path[0] for node in NODES if node.path}


def test_bash_offers_options_and_their_values(scripts):
    assert completed(scripts, "tc-micro session kill", "--d") == {"--dry-run"}
    assert completed(scripts, "tc-micro session list --protocol", "") == {
        "icmp",
        "tcp",
        "udp",
        "sctp",
    }
    assert completed(scripts, "tc-micro status -o", "") == {"table", "json", "jsonl", "yaml"}
    assert completed(scripts, "tc-micro session list --peer", "") == set()
    assert completed(scripts, "tc-micro completion", "b") == {"bash"}


def test_bash_offers_files_where_one_is_wanted(scripts):
    assert completed(scripts, "tc-micro policy apply", "ba") == {"bash"}
    assert completed(scripts, "tc-micro sysdump --out", "zs") == {"zsh"}


def test_options_before_do_not_hide_the_verb(scripts):
    assert completed(scripts, "tc-micro session list --port 22", "--st") == {"--state"}


@pytest.mark.parametrize("name", ["zsh", "fish"])
def test_other_shells_read_their_script(scripts, name):
    if shutil.which(name) is None:
        pytest.skip(f"{name} is not installed here")
    subprocess.run([name, "-n", scripts / name], check=True)


def test_fish_offers_what_bash_does(scripts):
    if shutil.which("fish") is None:
        pytest.skip("fish is not installed here")
    code = f'source {scripts}/fish; complete -C "tc-micro session list --state "'
    done = subprocess.run(["fish", "-c", code], capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) == {"opening", "answered", "established", "closing", "closed"}


def test_the_manual_page_names_every_verb():
    page = man.page("1.2.3")
    plain = page.replace("\\-", "-")
    for node in NODES:
        if not node.verbs:
            assert f'.SS "tc-micro {" ".join(node.path)}' in plain
    assert "tcmicro 1.2.3" in page


def test_the_manual_page_has_no_fault(tmp_path):
    if shutil.which("man") is None:
        pytest.skip("man is not installed here")
    page = tmp_path / "tc-micro.1"
    page.write_text(man.page())
    argv = ["man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z", str(page)]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    assert done.stderr == ""


def test_no_line_of_the_page_is_taken_for_a_request():
    known = {".TH", ".SH", ".SS", ".PP", ".TP", ".B", ".I", ".IR", ".nf", ".fi"}
    requests = {line.split()[0] for line in man.page().splitlines() if line[:1] in (".", "'")}
    assert requests <= known
    assert {"\\&.x", "\\&'y"} <= set(man.verbatim(".x\n'y"))


def test_a_release_brings_the_page_and_all_completions():
    found = shell.files("1.2.3")
    assert len(found) == 1 + len(SHELLS)
    assert all(path.startswith("share/") and content for path, content in found.items())
