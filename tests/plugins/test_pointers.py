"""What is published for hosts that pull: pointers as values, and files of a mirror's directory."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from ansible_collections.tcmicro.fleet.plugins.action.policy_pointers import Mirror
from ansible_collections.tcmicro.fleet.plugins.plugin_utils import pointers
from ansible_collections.tcmicro.fleet.plugins.plugin_utils.pointers import PointerError, Request
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tcmicro_agent import pointer, signing
from tcmicro_agent.pointer import Check, Confirmation, Evidence

KEY, OTHER = (Ed25519PrivateKey.generate().sign for _ in range(2))
ONE, TWO = "ab" * 32, "cd" * 32
WEEK = 604800
NOW = 1_800_000_000
PLAIN = Request(share=100, valid_s=WEEK)
DEFAULT = Confirmation()


def follow(before, digest=ONE, request=PLAIN, confirm=DEFAULT, now=NOW + 60):
    return pointers.next_pointer("web1", digest, confirm, request, before, now)


@pytest.fixture
def first():
    found, changes = follow(None, now=NOW)
    assert changes
    return found


def test_the_first_pointer(first):
    assert (first.subject, first.digest, first.serial) == ("web1", ONE, NOW)
    assert first.expires == NOW + WEEK


def test_the_same_again_is_left_alone(first):
    assert follow(first) == (first, False)


def test_half_its_time_later_it_is_renewed_under_its_serial(first):
    found, changes = follow(first, now=NOW + WEEK // 2 + 1)
    assert changes
    assert (found.serial, found.expires) == (first.serial, NOW + WEEK // 2 + 1 + WEEK)


@pytest.mark.parametrize(
    "other",
    [
        {"request": Request(share=25, valid_s=WEEK)},
        {"request": Request(share=100, valid_s=WEEK, epoch=4)},
        {"confirm": Confirmation(within_s=90)},
    ],
    ids=["share", "epoch", "what is asked"],
)
def test_what_is_said_otherwise_of_the_same_keeps_its_serial(first, other):
    found, changes = follow(first, **other)
    assert changes
    assert found.serial == first.serial
    assert follow(found, **other) == (found, False)


def test_another_policy_has_another_serial_whatever_the_clock_says(first):
    for now in (NOW + 60, NOW, NOW - 1000):
        found, changes = follow(first, TWO, now=now)
        assert changes
        assert found.serial == max(now, NOW + 1)


def test_to_try_again_takes_another_serial(first):
    found, changes = follow(first, request=Request(share=100, valid_s=WEEK, again=True))
    assert changes
    assert found.serial == NOW + 60


def test_every_fault_of_a_request_at_once():
    assert len(Request(share=0, valid_s=0, epoch=-1).problems()) == 3


def test_every_fault_of_what_hosts_are_to_find_out_at_once():
    given = {
        "a": {"within_s": 5},
        "b": {"evidence": "none", "checks": [{"address": "x", "port": 0}]},
        "c": {"check": []},
    }
    with pytest.raises(PointerError) as caught:
        pointers.confirmations("abcd", given)
    said = str(caught.value).splitlines()
    assert [line.split(":")[0] for line in said] == [
        *("confirm.a.within_s", "confirm.b.evidence", "confirm.b.checks[0].port"),
        "confirm.c.document",
    ]


def test_what_hosts_are_to_find_out():
    given = {"a": {"evidence": "contact", "checks": [{"address": "x", "port": 1}]}}
    found = pointers.confirmations("ab", given)
    assert found == {"a": Confirmation(60, Evidence.CONTACT, (Check("x", 1),)), "b": DEFAULT}


# --- files ---


@pytest.fixture
def bundle(tmp_path):
    def write(digest):
        path = tmp_path / "bundles" / f"{digest}.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps({"digest": digest}))
        return path

    return write


@pytest.fixture
def publish(tmp_path, bundle):
    def act(digest=ONE, *, host="web1", now=NOW, write=True, sign=KEY, request=PLAIN):
        mirror = Mirror(tmp_path / "mirror", sign, write=write)
        with mirror.locked():
            return mirror.publish(host, bundle(digest), DEFAULT, request, now)[1]

    return act


@pytest.fixture
def shown(tmp_path):
    def files():
        top = tmp_path / "mirror"
        found = (path for path in top.rglob("*") if path.is_file() and path.name != ".lock")
        return {str(path.relative_to(top)): path.read_bytes() for path in found}

    return files


def test_a_host_finds_what_its_pointer_names(publish, shown):
    assert publish() == "published"
    found = shown()
    names = {"pointers/web1.json", f"bundles/{ONE}.json", f"bundles/{ONE}.json.sig"}
    assert set(found) == names
    named = pointer.parse(signing.parse(found["pointers/web1.json"], "x"))
    statement = signing.parse(found[f"bundles/{named.digest}.json.sig"], "x").statement()
    assert (statement.digest, statement.subject, statement.serial) == (ONE, "web1", named.serial)


def test_a_second_run_writes_nothing(publish, shown):
    publish()
    before = shown()
    assert publish(now=NOW + 60) == "unchanged"
    assert shown() == before


def test_a_rehearsal_says_the_same_and_writes_nothing(publish, shown):
    assert publish(write=False) == "published"
    assert shown() == {}
    publish()
    before = shown()
    assert publish(TWO, write=False) == "published"
    assert shown() == before


def test_what_was_replaced_is_not_handed_out_any_more(publish, shown):
    publish()
    publish(host="web2", digest="ef" * 32)
    assert publish(TWO) == "published"
    assert {name for name in shown() if ONE in name} == set()
    assert f"bundles/{'ef' * 32}.json" in shown()


def test_a_file_that_somebody_removed_is_put_back(publish, shown, tmp_path):
    publish()
    (tmp_path / f"mirror/bundles/{ONE}.json.sig").unlink()
    assert publish(now=NOW + 60) == "renewed"
    assert f"bundles/{ONE}.json.sig" in shown()


@pytest.mark.parametrize("how", ["other key", "damaged", "serial beyond reach"])
def test_a_pointer_of_somebody_else_counts_for_nothing(publish, shown, tmp_path, how):
    publish(sign=OTHER, now=2**53 - 1 if how == "serial beyond reach" else NOW)
    if how == "damaged":
        (tmp_path / "mirror/pointers/web1.json").write_bytes(b"\xff{")
    assert publish() == "published"
    found = pointers.known(shown()["pointers/web1.json"], KEY)
    assert found is not None
    assert found.serial == NOW


def test_one_publishes_at_a_time(publish, tmp_path):
    publish()
    mirror = Mirror(tmp_path / "mirror", KEY, write=True)
    with mirror.locked(), pytest.raises(PointerError, match="somebody else publishes"):
        publish()


def test_a_web_server_may_read_everything(publish, tmp_path):
    publish()
    modes = {path.stat().st_mode & 0o777 for path in Path(tmp_path / "mirror").rglob("*.json")}
    assert modes == {0o644}
