"""What every verb has: help with examples where it takes arguments, -o and --json, a text for eyes."""

from __future__ import annotations

import pytest

from tcmicro_agent.cli.formats import FORMATS
from tcmicro_agent.cli.grammar import nodes
from tcmicro_agent.cli.main import main
from tcmicro_agent.cli.parser import leaves, parser

VERBS = {" ".join(path): verb for path, verb in leaves(parser())}
OWN_FORMS = {"policy validate", "policy diff", "policy graph"}
NODES = {" ".join(node.path): node for node in nodes(parser())}


@pytest.mark.parametrize("name", VERBS)
def test_every_verb_takes_json_and_output(name):
    options = {word: o for o in NODES[name].options for word in o.names}
    assert "--json" in options
    assert name in OWN_FORMS or options["-o"].choices == FORMATS


@pytest.mark.parametrize(
    "name",
    [
        *("doctor", "interfaces", "top", "sysdump", "completion", "rule hits", "stats show"),
        *("session list", "session count", "session flush", "session kill", "event follow"),
        *("trace flows", "trace latency", "trace drops", "policy apply"),
    ],
)
def test_help_has_examples_that_the_parser_understands(name):
    examples = [
        line.split("#")[0].split("|")[0].split(">")[0].strip()
        for line in NODES[name].epilog.partition("examples:")[2].splitlines()
        if line.strip().startswith("tc-micro ")
    ]
    assert examples
    for example in examples:
        words = example.replace('"$TOKEN"', "t").split()[1:]
        assert parser().parse_args(words).verb


@pytest.mark.parametrize("word", ["doctor", "session", "trace", "policy"])
def test_help_ends_well(word, capsys):
    with pytest.raises(SystemExit) as ended:
        main([word, "--help"])
    assert ended.value.code == 0
    assert "usage: tc-micro" in capsys.readouterr().out


@pytest.mark.parametrize(
    "words",
    [
        ["session", "count", "--by", "colour"],
        ["session", "list", "--port", "70000"],
        ["stats", "show", "--watch", "0"],
        ["status", "-o", "xml"],
        ["sysdump", "--since", "yesterday"],
    ],
)
def test_what_is_not_understood_is_usage(words, capsys):
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2
    assert capsys.readouterr().out == ""


def test_version_says_the_same_in_every_form(capsys):
    outputs = []
    for form in FORMATS:
        assert main(["version", "-o", form]) == 0
        outputs.append(capsys.readouterr().out)
    assert all("bundle" in text for text in outputs)
    assert len(set(outputs)) == len(FORMATS)


def test_txn_has_the_verbs_of_a_pending_change():
    assert {"txn show", "txn confirm", "txn revert"} <= set(VERBS)
