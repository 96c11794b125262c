"""Which bundles come in: real keys and files, a kernel in memory, the agent's own apply, confirm and revert."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial

import pytest
from builders import bundle, rule
from signatures import NEVER, new_key, pem, policy, signed

from tcmicro_agent import admission, staging
from tcmicro_agent.errors import BundleError, RefusedError, StoreError
from tcmicro_agent.policy.bundle import canonical, digest, to_document
from tcmicro_agent.policy.model import Mode
from tcmicro_agent.signing import Role
from tcmicro_agent.store import write_document
from tcmicro_agent.trial import Share
from tcmicro_agent.trust import Trust

OLD = bundle(rule("p/ssh", "tcp/22"), endpoints={"10.0.0.1": 1})
NEW = bundle(rule("p/web", "tcp/80"), endpoints={"10.0.0.1": 1})
KEY, OTHER_KEY, RELEASE_KEY = new_key(), new_key(), new_key()


@pytest.fixture
def store(agent):
    """Of a host that has a name and trusts one key for policies, another one for releases."""
    for role, key in (("policy", KEY), ("release", RELEASE_KEY)):
        directory = agent.store.etc / "keys" / role
        directory.mkdir(parents=True)
        (directory / "lab.pem").write_text(pem(key))
    (agent.store.etc / "host").write_text(f"{OLD.host}\n")
    return agent.store


@pytest.fixture
def write(tmp_path):
    """A bundle's file, with its signature beside it where there is one."""

    def put(content, signature=None):
        path = tmp_path / "bundle.json"
        path.write_bytes(canonical(to_document(content)))
        beside = tmp_path / "bundle.json.sig"
        beside.unlink(missing_ok=True)
        if signature:
            beside.write_bytes(signature.content())
        return path

    return put


@pytest.fixture
def bring(agent, store, write):
    """What `tc-micro policy apply` does with a bundle that says so much of itself."""

    def apply(content, serial=1, *, key=KEY, within=0, dry_run=False, **said):
        path = write(content, signed(policy(content, serial, **said), key) if key else None)
        ticket = admission.examine(store, content, path, None)
        admit = partial(admission.admit, store, ticket, dry_run=dry_run)
        done = agent.apply(content, confirm_within=within, dry_run=dry_run, admit=admit)
        return ticket, done

    return apply


def state(agent):
    return (
        agent.kernel.word,
        list(agent.kernel.slots),
        agent.store.books(),
        Trust(agent.store).floor(),
    )


def test_a_signed_bundle_is_applied_and_says_by_whom(bring, agent):
    ticket, done = bring(OLD, 7)
    assert done.changed
    assert ticket.document() == {"key": "lab", "serial": 7, "problem": ""}
    assert Trust(agent.store).floor() == 7


@pytest.mark.parametrize(
    ("said", "says"),
    [
        ({"key": None}, "is unsigned: there is no "),
        ({"key": OTHER_KEY}, "by none of the policy keys"),
        ({"key": RELEASE_KEY}, "by none of the policy keys"),
        ({"role": Role.RELEASE}, "role: it is for release, not policy"),
        ({"host": "web7"}, "subject: it is for web7"),
        ({"expires": 1000}, "expires: it was good until 1970"),
    ],
    ids=["unsigned", "unknown key", "key of releases", "role", "other host", "expired"],
)
def test_what_is_not_signed_as_it_should_be_changes_nothing(bring, agent, said, says):
    bring(OLD, 5)
    before = state(agent)
    with pytest.raises(RefusedError, match=says) as caught:
        bring(NEW, 6, **said)
    assert caught.value.exit_code == 3
    assert state(agent) == before


def test_the_signature_of_another_bundle_is_refused(agent, store, write):
    path = write(NEW, signed(policy(OLD), KEY))
    with pytest.raises(RefusedError, match=f"digest: it is for {digest(OLD)[:12]}"):
        admission.examine(store, NEW, path, None)


def test_a_bundle_for_another_host_is_refused_whoever_signed_it(store, write):
    other = replace(NEW, host="web7")
    path = write(other, signed(policy(other), KEY))
    with pytest.raises(RefusedError, match="is for 'web7', this host is"):
        admission.examine(store, other, path, None)


def test_a_host_without_a_name_takes_nothing(store, write):
    (store.etc / "host").unlink()
    with pytest.raises(RefusedError, match="this host has no name"):
        admission.examine(store, NEW, write(NEW, signed(policy(NEW), KEY)), None)


def test_a_signature_file_that_is_none_is_invalid_input(store, write):
    path = write(NEW)
    path.with_name("bundle.json.sig").write_text("{}")
    with pytest.raises(BundleError):
        admission.examine(store, NEW, path, None)


def test_a_signature_that_was_named_and_is_not_there_is_an_error(store, write, tmp_path):
    with pytest.raises(StoreError, match="mine.sig: No such file"):
        admission.examine(store, NEW, write(NEW), tmp_path / "mine.sig")


def test_what_was_replaced_cannot_be_replayed(bring, agent):
    bring(OLD, 5), bring(NEW, 6)
    before = state(agent)
    with pytest.raises(RefusedError, match="serial: 5 is older than 6"):
        bring(OLD, 5)
    assert state(agent) == before


def test_the_old_content_under_a_new_signature_is_the_way_back(bring, agent):
    bring(OLD, 5), bring(NEW, 6), bring(OLD, 7)
    assert agent.observe().live.digest == digest(OLD)
    assert Trust(agent.store).floor() == 7


def test_the_floor_rises_with_the_confirmation_and_not_before(bring, agent):
    bring(OLD, 5)
    pending = bring(NEW, 6, within=60)[1].transaction
    assert Trust(agent.store).floor() == 5
    agent.confirm(pending.id, pending.token)
    assert Trust(agent.store).floor() == 6


def test_what_was_taken_back_raised_no_floor(bring, agent, clock):
    bring(OLD, 5)
    bring(NEW, 9, within=60)
    clock.pass_seconds(61)
    agent.settle()
    assert agent.observe().live.digest == digest(OLD)
    assert Trust(agent.store).floor() == 5
    bring(NEW, 6)


def test_a_confirmation_that_was_cut_raises_the_floor_when_it_is_settled(bring, agent):
    bring(OLD, 5), bring(NEW, 6)
    (agent.store.var / "floors/policy").unlink()
    agent.store.save_books(replace(agent.store.books(), confirmed=None))
    with pytest.raises(RefusedError, match="serial: 5 is older than 6"):
        bring(OLD, 5)


def test_revert_and_restore_ask_for_no_signature(bring, agent, store, kernel):
    bring(OLD, 5)
    bring(NEW, 6, within=60)
    for path in Trust(store).keys_directory.iterdir():
        path.unlink()
    agent.revert()
    assert agent.observe().live.digest == digest(OLD)
    kernel.boot()
    assert agent.restore(Mode.PROTECT).digest == digest(OLD)


def test_a_rehearsal_verifies_and_writes_nothing(bring, agent):
    assert bring(NEW, 5, dry_run=True)[1].changed
    assert Trust(agent.store).signature(digest(NEW)) is None
    with pytest.raises(RefusedError):
        bring(NEW, 5, dry_run=True, key=OTHER_KEY)


def test_allowed_it_is_taken_and_said(bring, agent):
    write_document(agent.store.etc / "agent.json", {"allow_unsigned": True})
    ticket, done = bring(OLD, 5, key=OTHER_KEY)
    assert done.changed
    assert "by none of the policy keys" in ticket.problem
    ticket, done = bring(NEW, key=None)
    assert done.changed
    assert "is unsigned" in ticket.problem
    assert Trust(agent.store).floor() == 0


def test_allowed_an_older_one_is_taken_and_the_floor_stays(bring, agent):
    bring(OLD, 5), bring(NEW, 6)
    write_document(agent.store.etc / "agent.json", {"allow_unsigned": True})
    assert bring(OLD, 5)[1].changed
    assert Trust(agent.store).floor() == 6


def test_a_damaged_floor_or_signature_is_not_in_the_way_of_a_confirmation(bring, agent, store):
    bring(OLD, 5)
    pending = bring(NEW, 6, within=60)[1].transaction
    (store.var / "bundles" / f"{digest(NEW)}.sig").write_text("damaged")
    assert agent.confirm(pending.id, pending.token).changed
    (store.var / "floors/policy").write_text("damaged")
    with pytest.raises(StoreError, match="'damaged' is no number"):
        bring(OLD, 9)


def stage(agent, store, write, content, serial, key=KEY):
    path = write(content, signed(policy(content, serial, expires=NEVER), key) if key else None)
    ticket = admission.examine(store, content, path, None)
    admit = partial(admission.admit, store, ticket, dry_run=False)
    return staging.stage(agent, content, Share(0, 60), admit=admit)


def test_staging_asks_for_the_same(bring, agent, store, write):
    bring(OLD, 5)
    with pytest.raises(RefusedError, match="is unsigned"):
        stage(agent, store, write, NEW, 6, key=None)
    with pytest.raises(RefusedError, match="serial: 4 is older than 5"):
        stage(agent, store, write, NEW, 4)
    assert stage(agent, store, write, NEW, 6).changed
    staging.promote(agent, readmit=partial(admission.readmit, store))
    assert Trust(store).floor() == 6


def test_what_was_staged_is_not_promoted_over_something_newer(bring, agent, store, write):
    bring(OLD, 5)
    stage(agent, store, write, NEW, 6)
    bring(bundle(rule("p/dns", "udp/53")), 7)
    stage_is = agent.observe().staged
    if stage_is is None:
        pytest.fail("apply of another bundle must leave the staged one for this test")
    with pytest.raises(RefusedError, match="serial: 6 is older than 7"):
        staging.promote(agent, readmit=partial(admission.readmit, store))


def test_what_was_staged_unsigned_is_not_promoted_when_that_is_not_allowed_any_more(
    bring, agent, store, write
):
    bring(OLD, 5)
    write_document(store.etc / "agent.json", {"allow_unsigned": True})
    stage(agent, store, write, NEW, 6, key=None)
    write_document(store.etc / "agent.json", {})
    with pytest.raises(RefusedError, match="was staged unsigned"):
        staging.promote(agent, readmit=partial(admission.readmit, store))


def test_signatures_go_with_the_bundles_that_are_forgotten(bring, agent):
    for port in range(1, 14):
        bring(bundle(rule("p/x", f"tcp/{port}")), port)
    directory = agent.store.var / "bundles"
    kept = {path.stem for path in directory.glob("*.json")}
    assert len(kept) < 13
    assert {path.stem for path in directory.glob("*.sig")} == kept


def test_an_earlier_release_can_read_the_books(bring, agent):
    bring(OLD, 5)
    names = set(json.loads((agent.store.var / "state.json").read_text()))
    assert names == {"generation", "numbers", "confirmed"}
