"""Explanations say what the oracle decides at both ends, and their advice, once followed, allows the connection."""

from __future__ import annotations

import copy
import re
from ipaddress import ip_address

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from tcmicro_agent.errors import PolicyError
from tcmicro_agent.policy.evaluate import NUMBERS, NewFlow, evaluate
from tcmicro_agent.policy.explanation.answers import Outcome, Question
from tcmicro_agent.policy.explanation.explain import explain
from tcmicro_agent.policy.explanation.explain_text import advice, document, text
from tcmicro_agent.policy.intent import End, EndKind, Word
from tcmicro_agent.policy.inventory import parse_inventory
from tcmicro_agent.policy.model import Action, Direction, Mode, Protocol, Service
from tcmicro_agent.policy.problems import Where
from tcmicro_agent.policy.reach.naming import Naming
from tcmicro_agent.policy.source import parse_policies
from tests.unit.policy import test_resolve_meaning as meaning
from tests.unit.policy.test_resolve import FLEET, host, policy

NOW = 1_800_000_000
HERE = Where("SRC", 0, 0)
NEW_RULE = re.compile(r"add to (ingress|egress) of policy (\S+) \(.*?\): - (.*)")


def end(name):
    kind = EndKind.GROUP if name.startswith("group:") else EndKind.HOST
    try:
        kind = EndKind.ADDRESS if ip_address(name) else kind
    except ValueError:
        name = name.removeprefix("group:")
    return End(kind, Word(name, HERE))


def service(port):
    name, _, number = port.partition("/")
    return Service(Protocol(name), int(number or 0), int(number or 65535))


def ask(policies, hosts, source, target, port, now=NOW):
    question = Question(end(source), end(target), service(port))
    [found] = explain([question], policies, parse_inventory(hosts), now)
    return found


def asked(source, target, port, *texts, fleet=None, now=NOW):
    policies = parse_policies((f"{n}.yml", written) for n, written in enumerate(texts))
    return ask(policies, fleet or FLEET, source, target, port, now)


def said(source, target, port, *texts, fleet=None, now=NOW):
    found = asked(source, target, port, *texts, fleet=fleet, now=now)
    return text(found, Naming(parse_inventory(fleet or FLEET))).splitlines()


def ends(hosts):
    addresses = [a for h in hosts.values() for a in h["addresses"]]
    return st.sampled_from([*hosts, *addresses, *meaning.STRANGERS])


CASES = meaning.FLEETS.flatmap(
    lambda case: st.tuples(
        st.just(case), ends(case[0]), ends(case[0]), st.sampled_from(["tcp/1", "tcp/9", "udp/2"])
    )
)


@settings(max_examples=80, deadline=None)
@given(CASES)
def test_each_end_is_decided_as_the_oracle_does(given_case):
    (hosts, documents), source, target, port = given_case
    policies = meaning.read(documents)
    bundles = meaning.resolved(policies, hosts)
    asked_for = service(port)
    for answer in ask(policies, hosts, source, target, port).answers:
        for one, (here, there) in ((e, pair) for e in answer.ends for pair in answer.addresses):
            peer = there if one.direction is Direction.EGRESS else here
            flow = NewFlow(one.direction, peer, NUMBERS[asked_for.protocol], asked_for.first)
            verdict = evaluate(bundles[one.host], flow)
            assert (one.cause.action, one.cause.rule) == (verdict.action, verdict.rule)


@settings(max_examples=80, deadline=None)
@given(CASES)
def test_advice_allows_what_was_refused(given_case):
    (hosts, documents), source, target, port = given_case
    policies = meaning.read(documents)
    meaning.resolved(policies, hosts)
    for answer in ask(policies, hosts, source, target, port).answers:
        for one in answer.ends:
            edited = followed(documents, one, service(port))
            if edited is None:
                continue
            pair = [str(address) for address in answer.addresses[0]]
            again = ask(meaning.read(edited), hosts, *pair, port)
            decided = [e for a in again.answers for e in a.ends if e.direction is one.direction]
            [now] = decided
            only_audited = one.cause.mode is Mode.PROTECT and now.cause.mode is Mode.MONITOR
            assert now.cause.allows or only_audited


def followed(documents, refused, port):
    """The documents with the advice carried out; None where there is none to follow by itself."""
    if refused.cause.allows or advice(refused, port).startswith("narrow"):
        return None
    edited = copy.deepcopy(documents)
    rules = {(d["metadata"]["name"], way): d["spec"][way] for d in edited for way in WAYS}
    new = NEW_RULE.fullmatch(advice(refused, port))
    if new:
        rules[new[2], new[1]].append(yaml.safe_load(new[3]))
        return edited
    edit = refused.misses[0].edit
    name, _, uid = edit.rule.partition("/")
    [rule] = [r for r in rules[name, refused.direction.value] if r["id"] == uid]
    holder = rule if edit.member in ("ports", *WAYS.values()) else None
    holder = holder or rule[WAYS[refused.direction.value]][edit.peer]
    holder.setdefault(edit.member, []).append(yaml.safe_load(edit.value))  # or, beside addressSets
    return edited


WAYS = {"ingress": "from", "egress": "to"}
WEB = policy("db-in", "pg|allow|groups: [web], labels: {tier: front}|tcp/5432")
OTHER = {"addresses": ["10.0.2.2"]}
BATCH = {**FLEET, "web3": host("10.0.1.3", "fleet", "web", tier="batch")}


def test_refused_connection_reads_like_this():
    assert said("web3", "db1", "tcp/5432", WEB, fleet=BATCH) == [
        "DENIED  web3 (web) -> db1 (db) tcp/5432",
        "  egress   web3  ALLOWED  under no policy",
        "  ingress  db1   DENIED   default deny of db-in  0.yml:3",
        "  nearest miss: rule db-in/pg (0.yml:6) needs label tier=front; web3 has tier=batch",
        "  to allow: add {groups: [web], labels: {tier: batch}} to from of db-in/pg at 0.yml:6",
    ]


@pytest.mark.parametrize(
    ("source", "port", "peer", "miss", "edit"),
    [
        ("web1", "tcp/1", "groups: [web]", "allows tcp/5432, not tcp/1", "add tcp/1 to ports"),
        (
            "web1",
            "icmp",
            "groups: [web]",
            "not icmp/echo-request",
            "add icmp/echo-request to ports",
        ),
        (
            "client1",
            "tcp/5432",
            "groups: [web]",
            "needs group web; client1 is in client",
            "add client",
        ),
        ("web2", "tcp/5432", "hosts: [web1]", "needs one of the hosts web1", "add web2 to hosts"),
        ("192.0.2.1", "tcp/5432", "groups: [web]", "192.0.2.1 is none", "{cidrs: [192.0.2.1/32]}"),
        (
            "192.0.2.1",
            "tcp/5432",
            "cidrs: [10.0.0.0/8]",
            "needs an address in 10.0.0.0/8",
            "to cidrs",
        ),
        (
            "10.9.9.9",
            "tcp/5432",
            "cidrs: [10.0.0.0/8], except: [10.9.0.0/16]",
            "excepts 10.9.0.0/16",
            "add {cidrs: [10.9.9.9/32]} to from",
        ),
        ("2001:db8::1", "tcp/5432", "cidrs: ['fd00::/8']", "in fd00::/8", 'add "2001:db8::1/128"'),
    ],
)
def test_nearest_miss_and_what_to_write(source, port, peer, miss, edit):
    fleet = {**FLEET, "db1": host(["10.0.2.1", "fd00::2:1"], "fleet", "db")}
    lines = said(source, "db1", port, policy("db-in", f"pg|allow|{peer}|tcp/5432"), fleet=fleet)
    assert miss in lines[-2]
    assert edit in lines[-1]


def test_rule_for_everybody_is_never_widened():
    lines = said("web1", "db1", "tcp/443", policy("db-in", "http|allow|entity: any|tcp/80"))
    assert lines[-2:] == [
        "  nearest miss: rule db-in/http (0.yml:6) allows tcp/80, not tcp/443",
        "  to allow: add to ingress of policy db-in (0.yml:3): "
        "- {id: tcp-443-from-web, from: [{groups: [web]}], ports: [tcp/443]}",
    ]


def test_below_a_deny_nothing_is_a_near_miss():
    deny = policy("stop", "no|deny|groups: [web]|any", tier="platform")
    lines = said("web1", "db1", "tcp/1", deny, WEB)
    assert lines[2:] == [
        "  ingress  db1   DENIED   rule stop/no  0.yml:6",
        "  to allow: narrow rule stop/no at 0.yml:6, or allow it in a tier above",
    ]


def test_rule_that_expired_is_the_nearest_miss():
    timed = WEB.replace("ports:", 'expires: "2026-12-01T00:00:00Z", ports:')
    assert said("web1", "db1", "tcp/5432", timed, now=1_700_000_000)[0].startswith("ALLOWED")
    assert said("web1", "db1", "tcp/5432", timed)[-2:] == [
        "  nearest miss: rule db-in/pg (0.yml:6) expired 2026-12-01T00:00:00Z",
        "  to allow: change expires of db-in/pg at 0.yml:6",
    ]


def test_monitor_would_deny():
    found = asked("client1", "db1", "tcp/1", policy("db-in", mode="monitor"))
    assert [answer.outcome for answer in found.answers] == [Outcome.AUDITED]
    assert found.verdict is Action.DENY


def test_one_policy_in_monitor_mode_among_others_would_deny():
    audit = policy("db-new", "x|deny|groups: [web]|any", mode="monitor", default="allow, allow")
    found = asked("web1", "db1", "tcp/5432", WEB, audit)
    assert [answer.outcome for answer in found.answers] == [Outcome.AUDITED]
    assert asked("web1", "db1", "tcp/1", WEB, audit).answers[0].outcome is Outcome.DENIED


def test_advice_for_what_is_enforced_names_no_rule_that_only_audits():
    audit = policy("db-new", "x|allow|groups: [web]|tcp/1", mode="monitor")
    [answer] = asked("web1", "db1", "tcp/2", WEB, audit).answers
    assert {miss.rule for end in answer.ends for miss in end.misses} == {"db-in/pg"}


def test_groups_answer_by_class_and_undecided_where_they_differ():
    found = asked("group:fleet", "group:db", "tcp/5432", WEB)
    assert found.verdict is None
    assert {(a.sources.names, a.targets.names): a.outcome.value for a in found.answers} == {
        (("client1",), ("db1", "db2")): "denied",
        (("db1",), ("db2",)): "denied",
        (("db2",), ("db1",)): "denied",
        (("web1", "web2"), ("db1", "db2")): "allowed",
    }


def test_no_host_stands_for_both_ends():
    lines = said("group:db", "db1", "tcp/5432", WEB, fleet={**FLEET, "db2": FLEET["db1"] | OTHER})
    assert lines[1:3] == [
        "  egress   db2  ALLOWED  default allow of db-in  0.yml:3",
        "  ingress  db1  DENIED   default deny of db-in  0.yml:3",
    ]


def test_addresses_that_are_decided_otherwise_are_told_apart():
    both = {**FLEET, "db1": host(["10.0.2.1", "fd00::2:1"], "fleet", "db")}
    only4 = policy("db-in", "pg|allow|cidrs: [10.0.1.0/24]|tcp/5432")
    lines = [line for line in said("web1", "db1", "tcp/5432", only4, fleet=both) if "->" in line]
    assert lines == [
        "ALLOWED  web1 (web) -> db1 (db) tcp/5432  by 10.0.1.1 -> 10.0.2.1",
        "DENIED  web1 (web) -> db1 (db) tcp/5432  by fd00::1:1 -> fd00::2:1",
    ]


def test_end_that_is_not_ours_decides_nothing():
    lines = said("web1", "192.0.2.7", "tcp/443", WEB)
    assert lines[2] == "  ingress  192.0.2.7  not ours"


@pytest.mark.parametrize(
    ("source", "target", "outcome", "note"),
    [
        ("web1", "web1", "allowed", "never judged"),
        ("web1", "mute", "undecidable", "mute without an address"),
        ("client1", "fd00::9", "undecidable", "no address of one family"),
    ],
)
def test_what_no_end_decides(source, target, outcome, note):
    fleet = {**FLEET, "mute": host([], "fleet")}
    [answer] = asked(source, target, "tcp/1", fleet=fleet).answers
    assert (answer.outcome.value, note in answer.note) == (outcome, True)


def test_every_name_that_does_not_exist_is_told_at_once():
    with pytest.raises(PolicyError) as caught:
        asked("wbe1", "group:dbs", "tcp/1", WEB)
    assert len(caught.value.problems) == 2
    assert 'did you mean "web1"' in caught.value.message
    assert 'did you mean "db"' in caught.value.message


def test_document_holds_what_the_text_says():
    found = document(asked("web3", "db1", "tcp/5432", WEB, fleet=BATCH))
    [answer] = found["answers"]
    assert (found["verdict"], found["service"], answer["outcome"]) == ("deny", "tcp/5432", "denied")
    assert [end["direction"] for end in answer["ends"]] == ["egress", "ingress"]
    assert answer["ends"][1]["misses"][0]["lack"] == "label"
