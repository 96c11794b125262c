"""Files: whole or not at all, private, and a lock that says who waits."""

from __future__ import annotations

import pytest
from builders import bundle

from tcmicro_agent import store as stores
from tcmicro_agent.config import Config
from tcmicro_agent.errors import BundleError, StoreError
from tcmicro_agent.policy import bundle as bundles
from tcmicro_agent.policy.model import Mode
from tcmicro_agent.store import Applied, Books, LockedError, Store


@pytest.fixture
def store(tmp_path) -> Store:
    return Store(tmp_path)


def test_books_round_trip(store):
    books = Books(7, Applied("aa", 7), None, {"p/a": 3})
    store.save_books(books)
    assert store.books() == books


def test_files_are_private_and_leave_nothing_behind(store):
    store.save_books(Books())
    path = store.var / "state.json"
    assert path.stat().st_mode & 0o777 == 0o600
    assert [p.name for p in store.var.iterdir()] == ["state.json"]


def test_a_write_that_cannot_be_done_keeps_the_old_file(store, tmp_path):
    (tmp_path / "var").write_text("a file where a directory should be")
    with pytest.raises(StoreError, match="nothing was changed"):
        store.save_books(Books())


def test_a_changed_bundle_is_not_believed(store):
    kept = bundle()
    name = bundles.digest(kept)
    store.save_bundle(kept, name)
    path = store.var / "bundles" / f"{name}.json"
    path.write_text(path.read_text().replace('"deny"', '"allow"'))
    with pytest.raises(BundleError, match="does not name this content"):
        store.bundle(name)


def test_old_bundles_go_and_needed_ones_stay(store):
    first = bundle()
    store.save_bundle(first, bundles.digest(first))
    store.save_books(Books(1, Applied(bundles.digest(first), 1)))
    for number in range(12):
        other = bundle(endpoints={f"10.0.0.{number}": 1})
        store.save_bundle(other, bundles.digest(other))
    assert len(list((store.var / "bundles").iterdir())) <= stores.KEPT_BUNDLES + 1
    assert store.bundle(bundles.digest(first)) == first


def test_a_bundle_that_is_kept_again_is_a_young_one(store):
    first = bundle()
    for number in range(12):
        other = bundle(endpoints={f"10.0.0.{number}": 1})
        store.save_bundle(other, bundles.digest(other))
        if number == 0:
            store.save_bundle(first, bundles.digest(first))
            store.save_books(Books(1, Applied(bundles.digest(first), 1)))
    store.save_books(Books())
    store.save_bundle(first, bundles.digest(first))
    assert store.bundle(bundles.digest(first)) == first


def test_second_writer_is_told(store, tmp_path, monkeypatch):
    monkeypatch.setattr(stores, "LOCK_PATIENCE_S", 0.1)
    with store.lock(), pytest.raises(LockedError, match="another change"), Store(tmp_path).lock():
        pass


def test_damaged_json_names_the_file(store):
    store.var.mkdir(parents=True)
    (store.var / "state.json").write_text("{")
    with pytest.raises(BundleError, match="state.json: not JSON"):
        store.books()


def configure(store, text: str) -> None:
    store.etc.mkdir(parents=True, exist_ok=True)
    (store.etc / "agent.json").write_text(text)


def test_a_configuration_that_is_refused_leaves_the_last_one_in_force(store):
    assert store.config() == Config()
    configure(store, '{"mode": "monitor"}')
    assert store.accept_config(lambda _: None).mode is Mode.MONITOR
    configure(store, '{"mode": "protekt"}')
    assert store.config().mode is Mode.MONITOR
    with pytest.raises(BundleError, match="protekt"):
        store.read_config()
    with pytest.raises(BundleError, match="protekt"):
        store.accept_config(lambda _: None)
    configure(store, '{"mode": "protect"}')
    assert store.config().mode is Mode.PROTECT


def test_a_refused_configuration_with_none_before_it_is_an_error(store):
    configure(store, "{")
    with pytest.raises(BundleError, match="not JSON"):
        store.config()


def test_what_cannot_be_followed_is_not_accepted(store):
    def follow(_: Config) -> None:
        raise StoreError("no")

    configure(store, '{"mode": "monitor"}')
    with pytest.raises(StoreError, match="no"):
        store.accept_config(follow)
    configure(store, "{")
    with pytest.raises(BundleError):
        store.config()


def test_an_accepted_configuration_is_written_once(store):
    configure(store, '{"mode": "monitor"}')
    store.accept_config(lambda _: None)
    copy = store.var / "agent.json"
    before = copy.stat()
    store.accept_config(lambda _: None)
    assert (copy.stat().st_ino, copy.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_stamps_tell_when_books_and_transaction_were_written(store):
    assert store.stamps() == (0, 0)
    store.save_books(Books(1))
    books, transaction = store.stamps()
    assert books > 0
    assert transaction == 0
