"""Bundles as documents: a round trip, a stable digest, and every fault of a bad one at once."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace

import pytest
from builders import bundle, rule

from tcmicro_agent.errors import BundleError
from tcmicro_agent.policy import bundle as bundles
from tcmicro_agent.policy.model import Action, Log, Window

GOOD = bundle(
    rule("p/a", "tcp/5432 udp/53-60", (1,)),
    rule("p/b", "any", None, action=Action.DENY),
    endpoints={"10.0.0.1/32": 1, "fd00::/64": 1},
)


def test_round_trip():
    document = json.loads(bundles.canonical(bundles.to_document(GOOD)))
    assert bundles.parse(document) == GOOD
    assert document["digest"] == bundles.digest(GOOD)


def test_text_is_canonical_and_its_digest_covers_all_the_rest_but_sources():
    text = bundles.write(GOOD)
    document = json.loads(text.content)
    assert bundles.canonical(document) == text.content
    assert document.pop("digest") == text.digest
    assert document.pop("sources") == {"p/a": "test.yml:1", "p/b": "test.yml:1"}
    assert hashlib.sha256(bundles.canonical(document)).hexdigest() == text.digest


def test_place_of_a_rule_in_its_file_changes_no_digest():
    moved = replace(GOOD, rules=tuple(replace(r, source="p.yml:9") for r in GOOD.rules))
    assert bundles.digest(moved) == bundles.digest(GOOD)
    assert bundles.load(bundles.write(moved).content, "x").rules[0].source == "p.yml:9"


def test_window_and_log_are_part_of_the_meaning():
    timed = replace(GOOD.rules[0], window=Window(1_800_000_000, 1_900_000_000))
    quiet = replace(GOOD.rules[0], log=Log.NONE)
    for changed in (timed, quiet, replace(timed, window=Window(None, 1_800_000_000))):
        other = replace(GOOD, rules=(changed, GOOD.rules[1]))
        assert bundles.digest(other) != bundles.digest(GOOD)
        assert bundles.load(bundles.write(other).content, "x") == other


MIXED = replace(
    GOOD,
    rules=(GOOD.rules[0], replace(GOOD.rules[1], audits=True)),
    audited_defaults=frozenset({"egress"}),
)


def test_what_only_audits_is_part_of_the_meaning_and_is_written_where_it_is_so():
    document = bundles.to_document(MIXED)
    assert bundles.parse(document) == MIXED
    assert bundles.digest(MIXED) != bundles.digest(GOOD)
    assert [rule.get("mode") for rule in document["rules"]] == [None, "monitor"]
    assert document["defaults"]["egress"] == {"action": "deny", "source": "p", "mode": "monitor"}
    assert "mode" not in document["defaults"]["ingress"]


# digests are names: what a fleet enforces today must have the same one tomorrow
def test_a_bundle_without_such_rules_keeps_its_digest():
    assert bundles.digest(GOOD) == (
        "78cb891dd92b848086348b63c01eb031b82569e4466a2b5914de9b88a801daae"
    )


@pytest.mark.parametrize("mode", ["protect", "monitor"])
def test_a_mode_that_says_nothing_is_refused(mode):
    document = bundles.to_document(GOOD)
    document["mode"] = mode
    document["rules"][0]["mode"] = mode
    with pytest.raises(BundleError, match="only monitor, in a bundle of mode protect"):
        bundles.parse(document)


def test_a_default_that_allows_does_not_audit():
    document = bundles.to_document(GOOD)
    document["defaults"]["egress"] = {"action": "allow", "source": "p", "mode": "monitor"}
    with pytest.raises(BundleError, match="stands beside allow; only what denies is audited"):
        bundles.parse(document)


# as a release before wrote it: the digest covers the sources
OLDER = """\
{"defaults":{"egress":{"action":"deny","source":"p"},"ingress":{"action":"deny","source":"p"}},"digest":"%s","endpoints":[],\
"host":"h","identities":[],"kind":"Bundle","mode":"protect","rules":[{"action":"allow","any":true,"direction":"ingress",\
"identities":[],"services":[{"first":80,"last":80,"protocol":"tcp"}],"source":"a.yml:7","tier":"app","uid":"p/a"}],"schema":1}"""


def test_bundle_of_the_schema_before_keeps_its_digest_and_its_text():
    bare = json.loads(OLDER % "")
    del bare["digest"]
    digest = hashlib.sha256(bundles.canonical(bare)).hexdigest()
    older = bundles.load((OLDER % digest).encode(), "x")
    assert (older.schema, older.rules[0].source, bundles.digest(older)) == (1, "a.yml:7", digest)
    assert bundles.write(older).content == (OLDER % digest).encode()


def test_bundles_that_share_their_parts_are_written_as_each_alone():
    writer = bundles.Writer()
    for host in ("h1", "größe", '"'):
        one = replace(GOOD, host=host)
        assert writer.write(one) == bundles.Writer().write(one)
        assert bundles.load(writer.write(one).content, "x") == one


def test_any_spelling_of_the_same_json_is_the_same_bundle():
    document = bundles.to_document(GOOD)
    assert bundles.load(json.dumps(document, indent=1).encode(), "x") == GOOD
    assert bundles.load(bundles.canonical(document) + b"\n", "x") == GOOD


def test_a_key_that_stands_twice_is_refused():
    text = bundles.write(GOOD).content
    twice = text.replace(b'"identity":1,', b'"identity":1,"identity":1,', 1)
    assert json.loads(twice) == json.loads(text)
    with pytest.raises(BundleError, match='db.json: not JSON: duplicate key "identity"'):
        bundles.load(twice, "db.json")


def test_digest_names_the_content():
    other = bundle(endpoints={"10.0.0.1/32": 1})
    assert bundles.digest(GOOD) != bundles.digest(other)


def broken(**changes) -> dict:
    document = bundles.to_document(GOOD)
    document.update(changes)
    return document


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ([], "document: [] is not an object"),
        (broken(schema=3), "schema: 3 is not a known bundle schema (1-2)"),
        (broken(sources={"p/a": "x:1"}), "sources: does not name the rules, and each of them"),
        (
            broken(rules=[{**bundles.to_document(GOOD)["rules"][0], "end": "2026-12-01"}]),
            "rules[0].end: not a time in UTC",
        ),
        (
            broken(rules=[{**bundles.to_document(GOOD)["rules"][0], "log": "some"}]),
            'rules[0].log: "some" is not one of none, deny, all',
        ),
        (broken(mode="enforce"), 'mode: "enforce" is not one of monitor, protect'),
        (broken(extra=1), 'unknown key "extra"'),
        (broken(host="h2"), "does not name this content"),
        (broken(endpoints=[{"network": "10.0.0.1/8", "identity": 1}]), "endpoints[0].network:"),
        (broken(identities=[]), "identities: number 1 is used and not defined"),
        (
            broken(rules=[{**bundles.to_document(GOOD)["rules"][0], "services": []}]),
            "rules[0].services: is empty",
        ),
    ],
)
def test_a_bad_bundle_is_refused_with_the_place(document, message):
    with pytest.raises(BundleError) as caught:
        bundles.parse(document)
    assert any(message in problem for problem in caught.value.problems), caught.value.problems


@pytest.mark.parametrize(
    ("endpoint", "faults"),
    [
        (5, ["endpoints[1]: 5 is not an object"]),
        ({"network": "10.0.0.2/32"}, ["endpoints[1].identity: is missing"]),
        (
            {"network": "10.0.0.256/32", "identity": True},
            [
                "endpoints[1].network: '10.0.0.256/32' does not appear to be an IPv4 or IPv6 network",
                "endpoints[1].identity: true is not a identity (0-2147483648)",
            ],
        ),
        (
            {"network": 7, "identity": -1},
            [
                "endpoints[1].network: 7 is not a string",
                "endpoints[1].identity: -1 is not a identity (0-2147483648)",
            ],
        ),
        (
            {"network": "10.0.0.2/32", "identity": 1, "tag": 1},
            ['endpoints[1]: unknown key "tag" (known: network, identity)'],
        ),
        ({"network": "10.0.0.1", "identity": 1}, ["endpoints: two entries have one network"]),
    ],
)
def test_one_wrong_endpoint_among_good_ones_is_named(endpoint, faults):
    good = bundles.to_document(GOOD)["endpoints"]
    with pytest.raises(BundleError) as caught:
        bundles.parse(broken(endpoints=[good[0], endpoint, good[1]]))
    found = [problem for problem in caught.value.problems if problem.startswith("endpoints")]
    assert found == faults


@pytest.mark.parametrize(
    ("change", "faults"),
    [
        ({"number": 0}, ["identities[1].number: 0 is not a identity (1-2147483648)"]),
        ({"number": True}, ["identities[1].number: true is not a identity (1-2147483648)"]),
        ({"name": 5}, ["identities[1].name: 5 is not a string"]),
        (
            {"groups": ["a", 5, None]},
            [
                "identities[1].groups[1]: 5 is not a string",
                "identities[1].groups[2]: null is not a string",
            ],
        ),
        ({"groups": "web"}, ['identities[1].groups: "web" is not a list']),
        ({"labels": {"k": 5}}, ["identities[1].labels.k: 5 is not a string"]),
        ({"labels": []}, ["identities[1].labels: [] is not an object"]),
        ({"tag": 1}, ['identities[1]: unknown key "tag" (known: number, name, groups, labels)']),
    ],
)
def test_one_wrong_identity_among_good_ones_is_named(change, faults):
    good = bundles.to_document(GOOD)["identities"][0]
    wrong = {**good, "number": 2, **change}
    with pytest.raises(BundleError) as caught:
        bundles.parse(broken(identities=[good, wrong]))
    assert [p for p in caught.value.problems if p.startswith("identities[")] == faults


@pytest.mark.parametrize("endpoints", [None, {}, "x"])
def test_endpoints_that_are_no_list_are_one_fault(endpoints):
    with pytest.raises(BundleError) as caught:
        bundles.parse(broken(endpoints=endpoints))
    assert sum(problem.startswith("endpoints") for problem in caught.value.problems) == 1


def test_missing_endpoints_are_one_fault():
    document = bundles.to_document(GOOD)
    del document["endpoints"]
    with pytest.raises(BundleError) as caught:
        bundles.parse(document)
    assert "endpoints: is missing" in caught.value.problems
    assert sum(problem.startswith("endpoints") for problem in caught.value.problems) == 1


def test_all_faults_are_reported_at_once():
    document = broken(mode="x", schema=7, extra=1)
    with pytest.raises(BundleError) as caught:
        bundles.parse(document)
    assert len(caught.value.problems) >= 3


@pytest.mark.parametrize("first", [-1, 65536, "80", True, 5433])
def test_impossible_ports_are_refused(first):
    document = bundles.to_document(GOOD)
    document["rules"][0]["services"][0]["first"] = first
    with pytest.raises(BundleError, match=r"rules\[0\]\.services\[0\]\.first"):
        bundles.parse(document)
