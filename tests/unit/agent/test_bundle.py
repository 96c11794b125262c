"""Bundles as documents: a round trip, a stable digest, and every fault of a bad one at once."""

from __future__ import annotations

import json

import pytest
from builders import bundle, rule

from tcmicro_agent.errors import BundleError
from tcmicro_agent.policy import bundle as bundles
from tcmicro_agent.policy.model import Action

GOOD = bundle(
    rule("p/a", "tcp/5432 udp/53-60", (1,)),
    rule("p/b", "any", None, action=Action.DENY),
    endpoints={"10.0.0.1/32": 1, "fd00::/64": 1},
)


def test_round_trip():
    document = json.loads(bundles.canonical(bundles.to_document(GOOD)))
    assert bundles.parse(document) == GOOD
    assert document["digest"] == bundles.digest(GOOD)


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
        (broken(schema=2), "schema: 2 is not a known bundle schema (1-1)"),
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
