"""Statements: what they say, whether that is enough, and files that are none."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from signatures import new_key, pem, raw

from tcmicro_agent import signing
from tcmicro_agent.errors import BundleError
from tcmicro_agent.signing import Role, Signed, Statement, Wanted

SAID = Statement(Role.POLICY, "d" * 64, "db1", serial=100, expires=2000)
WANTED = Wanted(Role.POLICY, "d" * 64, "db1", floor=100, now=2000)


def test_a_statement_that_says_all_that_is_wanted_is_enough():
    assert signing.judge(SAID, WANTED) == []


@pytest.mark.parametrize(
    ("wanted", "says"),
    [
        ({"role": Role.RELEASE}, "role: it is for policy, not release"),
        ({"digest": "e" * 64}, "digest: it is for dddddddddddd, not eeeeeeeeeeee"),
        ({"subject": "web1"}, "subject: it is for db1, not web1"),
        ({"floor": 101}, "serial: 100 is older than 101"),
        ({"now": 2001}, "expires: it was good until 1970-01-01 00:33:20 UTC"),
    ],
    ids=["role", "digest", "host", "serial", "time"],
)
def test_each_difference_alone_is_a_reason_to_refuse(wanted, says):
    (problem,) = signing.judge(SAID, replace(WANTED, **wanted))
    assert problem.startswith(says)


def test_all_differences_are_told_at_once():
    other = Wanted(Role.RELEASE, "e" * 64, "web1", floor=101, now=2001)
    assert len(signing.judge(SAID, other)) == 5


def test_the_same_statement_has_one_text():
    expected = '{"digest":"d","expires":2,"role":"policy","serial":1,"subject":"ä"}'
    assert Statement(Role.POLICY, "d", "ä", 1, 2).text() == expected


def test_a_file_gives_back_what_was_signed():
    made = signing.sign(SAID, lambda text: text[:64])
    found = signing.parse(made.content(), "x.sig")
    assert found == made
    assert found.statement() == SAID


def file(**changes) -> bytes:
    document = json.loads(Signed(SAID.text(), bytes(64)).content())
    return json.dumps({**document, **changes}).encode()


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "x.sig: not JSON"),
        (b"\xff", "x.sig: not JSON"),
        (b"[]", "is not an object"),
        (file(kind="Bundle"), 'kind: not a "Signature"'),
        (file(signature="AAAA"), "signature: 3 bytes, an Ed25519 signature has 64"),
        (file(signature="no!"), "signature: is not base64"),
        (file(statement=7), "statement: 7 is not a string"),
        (file(more=1), "unknown key"),
    ],
)
def test_what_is_no_signature_file_is_invalid_input(content, says):
    with pytest.raises(BundleError, match="^.*" + says) as caught:
        signing.parse(content, "x.sig")
    assert caught.value.exit_code == 6


@pytest.mark.parametrize(
    "change",
    [
        {"serial": 0},
        {"serial": True},
        {"serial": 2**60},
        {"expires": "x"},
        {"role": "root"},
        {"x": 1},
    ],
    ids=str,
)
def test_a_statement_that_is_none_is_invalid_input(change):
    text = json.dumps({**json.loads(SAID.text()), **change})
    with pytest.raises(BundleError):
        Signed(text, bytes(64)).statement()


def test_a_key_is_read_from_pem():
    key = new_key()
    assert signing.parse_public_key(pem(key)) == raw(key)


RSA = "-----BEGIN PUBLIC KEY-----\nMFwwDQYJKoZIhvcNAQEBBQADSwAwSAJBAK\n-----END PUBLIC KEY-----"


@pytest.mark.parametrize(
    "text", ["", "x", RSA, "-----BEGIN PUBLIC KEY-----\n-----END PUBLIC KEY-----"]
)
def test_what_is_no_ed25519_key_is_refused(text):
    with pytest.raises(ValueError, match="is no|is not base64"):
        signing.parse_public_key(text)
