"""Files: whole or not at all, private, and a lock that says who waits."""

from __future__ import annotations

import pytest
from builders import bundle

from tcmicro_agent import store as stores
from tcmicro_agent.errors import BundleError, StoreError
from tcmicro_agent.policy import bundle as bundles
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
