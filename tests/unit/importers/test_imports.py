"""Real dumps, and what becomes of them to the letter; what cannot be read; the verb."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tcmicro_agent.errors import PolicyError
from tcmicro_agent.importers import draft, iptables, kubernetes, nftables
from tcmicro_agent.importers.draft import Effect
from tcmicro_agent.policy.model import Mode
from tcmicro_agent.policy.source import parse_policies

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
READERS = {
    "nftables": (nftables.read, "nftables.json"),
    "iptables": (iptables.read, "iptables-save.txt"),
    "kubernetes": (kubernetes.read, "networkpolicies.txt"),
}


@pytest.mark.parametrize("kind", READERS)
def test_a_real_dump_becomes_these_policies(kind):
    """TCM_GOLDEN=1 writes them anew: read the difference before it is committed."""
    read, source = READERS[kind]
    name = source if kind == "kubernetes" else "web"
    text = draft.write(read((HERE / "inputs" / source).read_text(), name), kind, Mode.MONITOR)
    parse_policies([(source, text)])
    expected = HERE / "expected" / f"{kind}.txt"
    if os.environ.get("TCM_GOLDEN"):
        expected.write_text(text)
    assert text == expected.read_text()


@pytest.mark.parametrize(
    ("read", "text"),
    [
        (nftables.read, ""),
        (nftables.read, "[]"),
        (nftables.read, '{"nftables": [{"rule": {"family": "ip"}}]}'),
        (nftables.read, '{"nftables": {}, "nftables": 3}'),
        (nftables.read, "[" * 100_000),
        (iptables.read, ""),
        (iptables.read, "-A INPUT -j ACCEPT\n"),
        (iptables.read, "*filter\n-A INPUT -m comment --comment 'x\nCOMMIT\n"),
        (iptables.read, "*filter\n-X\nCOMMIT\n"),
        (iptables.read, "*nat\n:PREROUTING ACCEPT [0:0]\nCOMMIT\n"),
        (kubernetes.read, "a: [1"),
        (kubernetes.read, ""),
        (kubernetes.read, "&a [*a]"),
    ],
)
def test_what_is_no_ruleset_is_refused(read, text):
    with pytest.raises(PolicyError):
        read(text, "x")


def left_out(rules: str) -> list[tuple[str, Effect]]:
    text = f"*filter\n:INPUT DROP [0:0]\n:OTHER - [0:0]\n{rules}\nCOMMIT\n"
    return [(f.where, f.effect) for f in iptables.read(text, "x").report.left_out]


@pytest.mark.parametrize(
    ("rule", "effect"),
    [
        ("-A INPUT -p tcp -m tcp --sport 80 -j ACCEPT", Effect.NARROWER),
        ("-A INPUT -p tcp -m tcp --sport 80 -j DROP", Effect.WIDER),
        ("-A INPUT -i eth0 -j DROP", Effect.WIDER),
        ("-A INPUT -i lo -j DROP", Effect.WIDER),
        ("-A INPUT -d 10.0.0.1/32 -j ACCEPT", Effect.NARROWER),
        ("-A INPUT -p gre -j ACCEPT", Effect.NARROWER),
        ("-A INPUT -p icmp -m icmp --icmp-type 8/0 -j ACCEPT", Effect.NARROWER),
        ("-A INPUT -p icmp -m icmp --icmp-type 200 -j ACCEPT", Effect.NARROWER),
        ("-A INPUT -p icmp -m icmp --icmp-type 3 -j DROP", Effect.WIDER),
        ("-A INPUT -p tcp -m tcp --dport 22 --tcp-flags SYN SYN -j DROP", Effect.WIDER),
        ("-A INPUT -m set --match-set bad src -j DROP", Effect.WIDER),
        ("-A INPUT -j NFQUEUE --queue-num 1", Effect.NONE),
        ("-A INPUT -j MISSING", Effect.NONE),
        ("-A INPUT -m mark --mark 0x1 -j OTHER", Effect.EITHER),
        ("-A INPUT -g OTHER", Effect.EITHER),
        ("-A INPUT -j LOG", Effect.NONE),
        ("-A FORWARD -j DROP", Effect.WIDER),
    ],
)
def test_what_is_not_understood_is_left_out_with_its_effect(rule, effect):
    assert left_out(rule) == [("line 4", effect)]


@pytest.mark.parametrize(
    "rule",
    [
        "-A INPUT -i lo -j ACCEPT",
        "-A INPUT -m state --state ESTABLISHED,RELATED -j ACCEPT",
        "-A INPUT -m conntrack --ctstate INVALID -j DROP",
        "-A INPUT -p icmp -m icmp --icmp-type 3 -j ACCEPT",
        "-A INPUT -p icmp -m icmp --icmp-type 3/1 -j ACCEPT",
        "-A INPUT -p icmp -m icmp --icmp-type 8 -j DROP",
        "-A INPUT -p tcp -m tcp --dport 22 -m comment --comment 'a b' -j ACCEPT",
        "[3:120] -A INPUT -s 10.0.0.0/8 -j ACCEPT",
    ],
)
def test_what_is_carried_or_holds_anyhow_is_not_reported(rule):
    assert left_out(rule) == []


def test_chains_that_call_each_other_come_to_an_end():
    rules = "-A INPUT -j OTHER\n-A OTHER -p tcp -j OTHER"
    assert left_out(rules) == [("line 5", Effect.EITHER)]


def test_turns_of_permission_and_refusal_become_tiers_and_too_many_are_told():
    turns = [f"-A INPUT -s 10.0.0.0/{32 - n} -j {('ACCEPT', 'DROP')[n % 2]}" for n in range(8)]
    text = "*filter\n:INPUT ACCEPT [0:0]\n{}\nCOMMIT\n"
    done = iptables.read(text.format("\n".join(turns[:5])), "x")
    assert [p.tier.value for p in done.policies] == ["platform", "app", "baseline"]
    assert done.report.left_out == []
    done = iptables.read(text.format("\n".join(turns)), "x")
    told = [(f.where, f.effect) for f in done.report.left_out]
    assert told == [("line 8", Effect.NARROWER), ("line 10", Effect.NARROWER)]


def test_both_families_of_one_text_keep_their_defaults():
    four = "# Generated by iptables-save v1\n*filter\n:INPUT DROP [0:0]\nCOMMIT\n"
    six = "# Generated by ip6tables-save v1\n*filter\n:INPUT ACCEPT [0:0]\nCOMMIT\n"
    done = iptables.read(four + six, "x")
    [rule] = done.policies[0].rules
    assert [str(net) for net in rule.peers[0].networks] == ["::/0"]
    assert done.policies[0].ingress.value == "deny"


def test_a_second_chain_that_permits_is_left_out_loudly():
    chain = {"family": "inet", "table": "t", "type": "filter", "hook": "input", "prio": 0}
    rule = {"family": "inet", "table": "t", "handle": 1, "expr": [{"accept": None}]}
    objects = [
        {"chain": {**chain, "name": "a", "policy": "drop"}},
        {"chain": {**chain, "name": "b", "policy": "drop"}},
        {"rule": {**rule, "chain": "a"}},
        {"rule": {**rule, "chain": "b"}},
    ]
    report = nftables.read(json.dumps({"nftables": objects}), "x").report
    assert [(f.where, f.effect) for f in report.left_out] == [("chain inet t b", Effect.WIDER)]


def run(*words: str, text: str = "") -> subprocess.CompletedProcess[str]:
    code = "import sys; from tcmicro_agent.cli.main import main; sys.exit(main())"
    argv = [sys.executable, "-c", code, "policy", "import", *words]
    return subprocess.run(argv, input=text, capture_output=True, text=True, check=False, cwd=ROOT)


OPEN = "*filter\n:INPUT DROP [0:0]\n-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT\nCOMMIT\n"


def test_the_verb_writes_policies_on_stdout_and_the_rest_on_stderr(tmp_path):
    done = run("iptables", "-", "--name", "web", text=OPEN)
    assert done.returncode == 0
    [policy] = parse_policies([("web.yml", done.stdout)])
    assert (policy.name.text, policy.mode) == ("web", Mode.MONITOR)
    assert "note: these are rules for IPv4 alone" in done.stderr
    done = run("iptables", "-", "--json", text=OPEN.replace("-p tcp", "-i eth0 -p tcp"))
    said = json.loads(done.stdout)
    assert (done.returncode, said["kind"]) == (3, "PolicyImport")
    assert said["left_out"][0]["effect"] == "narrower"
    assert "not carried over: line 3: -A INPUT -i eth0" in done.stderr
    assert run("iptables", str(tmp_path / "missing")).returncode == 6
    assert run("iptables", "-", "--name", "../x", text=OPEN).returncode == 6


def test_the_verb_writes_a_file_for_each_policy(tmp_path):
    source = HERE / "inputs/networkpolicies.txt"
    done = run("kubernetes", str(source), "--mode", "protect", "--out", str(tmp_path))
    assert done.returncode == 3
    written = sorted(tmp_path.glob("*.yml"))
    assert [p.stem for p in written] == ["shop-db", "shop-default-deny", "shop-web"]
    policies = parse_policies([(p.name, p.read_text()) for p in written])
    assert {policy.mode for policy in policies} == {Mode.PROTECT}
