"""The files of a host as declared: what is planned, what is refused before anything is changed, and what is done."""

from __future__ import annotations

import os

import pytest
from ansible_collections.tcmicro.fleet.plugins.module_utils import tree

US = (os.geteuid(), os.getegid())


@pytest.fixture
def labelled():
    """Paths that were given their SELinux label, in turn."""
    return []


@pytest.fixture
def make(labelled):
    """Brings a wish about; tells what changed."""

    def run(directories=(), files=(), links=(), only=(), absent=()):
        wanted = tree.Wanted(list(directories), dict(files), dict(links), list(only), list(absent))
        assert tree.faults(wanted) == []
        shall = tree.entries(wanted, US)
        found = tree.look(wanted, shall)
        assert tree.obstacles(shall, found) == []
        changes = tree.plan(wanted, shall, found)
        tree.carry_out(changes, labelled.append)
        return changes

    return run


def paths(changes):
    return [change.path for change in changes]


def mode(path):
    return path.stat().st_mode & 0o7777


def test_missing_parents_are_made_and_the_second_run_changes_nothing(make, labelled, tmp_path):
    top = tmp_path / "etc"
    wish = {
        "directories": [f"{top}/keys"],
        "files": {f"{top}/keys/a/one.pem": "key\n", f"{top}/host": "web1\n"},
        "links": {f"{top}/share/man": "/nowhere/man"},
    }
    made = [
        *(f"{top}", f"{top}/host", f"{top}/keys", f"{top}/keys/a", f"{top}/keys/a/one.pem"),
        *(f"{top}/share", f"{top}/share/man"),
    ]
    assert paths(make(**wish)) == labelled == made
    assert (top / "host").read_text() == "web1\n"
    assert (mode(top), mode(top / "keys/a"), mode(top / "host")) == (0o755, 0o755, 0o644)
    assert os.readlink(top / "share/man") == "/nowhere/man"
    assert make(**wish) == []


def test_parents_that_nobody_names_are_made_and_not_told(make, tmp_path):
    changes = make(directories=[f"{tmp_path}/named"], files={f"{tmp_path}/a/b/file": "text\n"})
    assert paths(changes) == [f"{tmp_path}{end}" for end in ("/a", "/a/b", "/a/b/file", "/named")]
    assert paths(tree.worth_telling(changes)) == [f"{tmp_path}/a/b/file", f"{tmp_path}/named"]


def test_modes_are_put_right_and_those_of_parents_left_alone(make, tmp_path):
    (tmp_path / "etc").mkdir(mode=0o700)
    (tmp_path / "etc/host").write_text("web1\n")
    (tmp_path / "etc/host").chmod(0o666)
    changes = make(files={f"{tmp_path}/etc/host": "web1\n"})
    assert paths(changes) == [f"{tmp_path}/etc/host"]
    assert (mode(tmp_path / "etc"), mode(tmp_path / "etc/host")) == (0o700, 0o644)
    shown = tree.differences(changes)[0]
    assert shown["before"].startswith("mode 0666")
    assert shown["after"].startswith("mode 0644")


def test_only_removes_files_links_and_directories_that_are_not_declared(make, tmp_path):
    keys = tmp_path / "keys"
    (keys / "release/old").mkdir(parents=True)
    (keys / "release/ours.pem").write_text("ours\n")
    (keys / "release/old/theirs.pem").write_text("theirs\n")
    (keys / "link.pem").symlink_to("/etc/hostname")
    (tmp_path / "beside").write_text("stays")
    wish = {"directories": [str(keys)], "files": {f"{keys}/release/ours.pem": "ours\n"}}
    (keys).chmod(0o755)
    (keys / "release/ours.pem").chmod(0o644)
    changes = make(**wish, only=[str(keys)])
    gone = [f"{keys}/release/old/theirs.pem", f"{keys}/release/old", f"{keys}/link.pem"]
    assert paths(changes) == gone
    assert [change.after for change in changes] == [None] * 3
    assert sorted(path.name for path in keys.rglob("*")) == ["ours.pem", "release"]
    assert (tmp_path / "beside").exists()


def test_what_is_absent_goes_with_all_below_and_links_lead_nowhere(make, tmp_path):
    (tmp_path / "state/bundles").mkdir(parents=True)
    (tmp_path / "state/bundles/one").write_text("one")
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept/file").write_text("stays")
    (tmp_path / "link").symlink_to(tmp_path / "kept")
    names = [f"{tmp_path}/{name}" for name in ("state", "link", "never")]
    assert paths(make(absent=names)) == [names[0], names[1]]
    assert sorted(os.listdir(tmp_path)) == ["kept"]
    assert (tmp_path / "kept/file").read_text() == "stays"
    assert make(absent=names) == []


def test_links_and_files_take_each_others_place(make, tmp_path):
    (tmp_path / "file").symlink_to("/etc/hostname")
    (tmp_path / "link").write_text("was a file")
    (tmp_path / "other").symlink_to("/old")
    make(
        files={f"{tmp_path}/file": "text\n"},
        links={f"{tmp_path}/link": "/new", f"{tmp_path}/other": "/new"},
    )
    assert not (tmp_path / "file").is_symlink()
    assert (os.readlink(tmp_path / "link"), os.readlink(tmp_path / "other")) == ("/new", "/new")
    assert sorted(os.listdir(tmp_path)) == ["file", "link", "other"]


def test_link_to_a_directory_serves_as_one(make, tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "man").symlink_to(tmp_path / "real")
    make(links={f"{tmp_path}/man/page.1": "/somewhere"})
    assert (tmp_path / "man").is_symlink()
    assert (tmp_path / "real/page.1").is_symlink()


def test_text_that_is_no_utf8_differs_and_is_replaced(make, tmp_path):
    (tmp_path / "host").write_bytes(b"\xff\xfe")
    changes = make(files={f"{tmp_path}/host": "web1\n"})
    assert (tmp_path / "host").read_text() == "web1\n"
    assert tree.differences(changes)[0]["before"] == "\ufffd\ufffd"  # what JSON can carry


def test_everything_in_the_way_is_named_and_nothing_is_planned_around_it(tmp_path):
    (tmp_path / "host").mkdir()
    (tmp_path / "keys").write_text("a file")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loose").symlink_to("/nowhere")
    wanted = tree.Wanted(
        [f"{tmp_path}/loose"],
        {f"{tmp_path}/host": "", f"{tmp_path}/keys/one": "", f"{tmp_path}/pipe": ""},
        {},
        [],
        [],
    )
    shall = tree.entries(wanted, US)
    assert tree.obstacles(shall, tree.look(wanted, shall)) == [
        f"{tmp_path}/host: is a directory, a file is wanted: move it away",
        f"{tmp_path}/keys: is a file, a directory is wanted: move it away",
        f"{tmp_path}/loose: is a link, a directory is wanted: move it away",
        f"{tmp_path}/pipe: is a special file, a file is wanted: move it away",
    ]


def test_every_fault_of_a_wish_is_named():
    wanted = tree.Wanted(
        ["/a", "/a", "relative", "/b/../c", "/"],
        {"/a/f": 5, "/a/f/below": ""},
        {"//x": "y"},
        ["/z"],
        ["/a", "/b/"],
    )
    assert tree.faults(wanted) == [
        "relative: is no absolute path in its shortest form",
        "/b/../c: is no absolute path in its shortest form",
        "/: is no absolute path in its shortest form",
        "//x: is no absolute path in its shortest form",
        "/b/: is no absolute path in its shortest form",
        "/a/f: 5 is no text",
        "/a: is wanted more than once",
        "/a/f: is wanted as a file or link, and as a directory of others",
        "absent: /a is wanted, or something below it",
        "only: /z is none of the directories",
    ]


def test_difference_shows_texts_and_what_links_lead_to(make, tmp_path):
    (tmp_path / "host").write_text("web1\n")
    changes = make(files={f"{tmp_path}/host": "web2\n"}, links={f"{tmp_path}/link": "/there"})
    assert [(row["before"], row["after"]) for row in tree.differences(changes)] == [
        ("web1\n", "web2\n"),
        ("", "link to /there\n"),
    ]
