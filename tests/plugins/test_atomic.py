"""Files and links replaced by one rename."""

from __future__ import annotations

import os

import pytest
from ansible_collections.tcmicro.fleet.plugins.module_utils.atomic import point, replace_file


@pytest.fixture
def elsewhere(tmp_path):
    path = tmp_path / "elsewhere"
    path.write_text("stays")
    return path


@pytest.mark.parametrize("before", ["nothing", "file", "link"])
@pytest.mark.parametrize("left", ["nothing", "file", "link"])
def test_what_was_there_is_replaced_whatever_a_cut_run_left(tmp_path, elsewhere, before, left):
    path = tmp_path / "path"
    for name, kind in ((path, before), (tmp_path / "path.tmp", left)):
        if kind == "file":
            name.write_text("was here")
        elif kind == "link":
            name.symlink_to(elsewhere)
    replace_file(path, b"text", 0o640)
    assert (path.is_symlink(), path.read_text(), path.stat().st_mode & 0o7777) == (
        False,
        "text",
        0o640,
    )
    point(path, "/nowhere")
    assert os.readlink(path) == "/nowhere"
    assert elsewhere.read_text() == "stays"
    assert sorted(os.listdir(tmp_path)) == ["elsewhere", "path"]


def test_a_reader_never_sees_half_of_a_file(tmp_path):
    path = tmp_path / "path"
    replace_file(path, b"old", 0o644)
    with path.open("rb") as reader:
        replace_file(path, b"new", 0o644)
        assert reader.read() == b"old"
    assert path.read_bytes() == b"new"
