"""What a pointer may say, and to whom."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from signatures import new_key

from tcmicro_agent import pointer, signing
from tcmicro_agent.errors import BundleError
from tcmicro_agent.pointer import Check, Confirmation, Evidence, Pointer
from tcmicro_agent.signing import Signed

KEY = new_key()
NAMED = Pointer("web1", "ab" * 32, serial=7, expires=1000)
FULL = replace(
    NAMED,
    share=25,
    epoch=4,
    confirm=Confirmation(90, Evidence.CONTACT, (Check("10.0.0.53", 53), Check("ldap", 636))),
)


def signed(found):
    return signing.sign(found, KEY.sign)


def document(**changes):
    """The text of a pointer with members replaced, or without those that are None."""
    found = {**json.loads(FULL.text()), **changes}
    return Signed(json.dumps({k: v for k, v in found.items() if v is not None}), bytes(64))


@pytest.mark.parametrize("found", [NAMED, FULL], ids=["least", "all"])
def test_what_is_signed_is_what_is_read(found):
    kept = signing.parse(signed(found).content(), "file")
    assert pointer.parse(kept) == found


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"role": "policy"}, "role: not 'pointer'"),
        ({"digest": "../../etc/passwd"}, "digest: '../../etc/passwd' is no digest"),
        ({"digest": "AB" * 32}, "is no digest"),
        ({"share": 0}, "share: 0 is not a percentage (1-100)"),
        ({"share": True}, "share: true is not a percentage"),
        ({"serial": None}, "serial: is missing"),
        ({"confirm": {"within_s": 5, "evidence": "required", "checks": []}}, "within_s: 5 is not"),
        (
            {"confirm": {"within_s": 60, "evidence": "none", "checks": []}},
            'evidence: "none" is not',
        ),
        ({"confirm": {"within_s": 60, "evidence": "contact"}}, "confirm.checks: is missing"),
        ({"run": "reboot"}, 'unknown key "run"'),
    ],
)
def test_what_it_may_not_say(changes, says):
    with pytest.raises(BundleError) as caught:
        pointer.parse(document(**changes))
    assert says in caught.value.message


def test_no_more_checks_than_can_be_made():
    checks = [{"address": "10.0.0.1", "port": port} for port in range(1, 18)]
    confirm = {"within_s": 60, "evidence": "contact", "checks": checks}
    with pytest.raises(BundleError, match="17 of them, at most 16 are made"):
        pointer.parse(document(confirm=confirm))


def test_a_pointer_is_no_statement_of_a_bundle_and_the_other_way_round():
    with pytest.raises(BundleError):
        signed(NAMED).statement()
    statement = signing.Statement(signing.Role.POLICY, NAMED.digest, "web1", 7, 1000)
    with pytest.raises(BundleError):
        pointer.parse(signing.sign(statement, KEY.sign))


@pytest.mark.parametrize(
    ("found", "host", "floor", "now", "says"),
    [
        (NAMED, "web1", 7, 1000, ""),
        (NAMED, "web2", 7, 1000, "subject: it is for 'web1'"),
        (NAMED, "web1", 8, 1000, "serial: 7 is older than 8"),
        (NAMED, "web1", 7, 1060, "expires: it was good until 60 s ago"),
    ],
)
def test_whom_it_is_for_and_until_when(found, host, floor, now, says):
    problems = "; ".join(pointer.judge(found, host, floor, now))
    assert problems.startswith(says)
    assert bool(problems) == bool(says)


def test_a_share_is_of_the_hosts_and_of_other_hosts_each_time():
    first = {n for n in range(2000) if not replace(NAMED, subject=f"h{n}", share=25).waits}
    later = {n for n in range(2000) if not replace(NAMED, subject=f"h{n}", share=50).waits}
    other = {
        n for n in range(2000) if not replace(NAMED, subject=f"h{n}", share=25, serial=8).waits
    }
    assert 420 < len(first) < 580
    assert first < later
    assert len(first & other) < 250
    assert not any(replace(NAMED, subject=f"h{n}", share=100).waits for n in range(200))


def test_no_name_of_a_host_leaves_its_directory():
    assert pointer.path_of("../x/y z") == "pointers/..%2Fx%2Fy%20z.json"
