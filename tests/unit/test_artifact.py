"""The artifact: the same bytes from any directory, everything in its manifest, nothing it does not need."""

from __future__ import annotations

import hashlib
import json
import shutil
import tarfile
from pathlib import Path

import pytest

from tools import archive, artifact
from tools.process import ToolError

ROOT = Path(__file__).resolve().parents[2]
INPUTS = ("bpf", "tcmicro_agent", "tools", "requirements", "LICENSE")


@pytest.fixture(scope="module")
def copied_tree(tmp_path_factory) -> Path:
    """The checkout's inputs at another place."""
    place = tmp_path_factory.mktemp("elsewhere") / "a-much-longer-name"
    place.mkdir()
    for name in INPUTS:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, place / name)
    return place


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    return artifact.build(ROOT, "9.8.7", tmp_path_factory.mktemp("built"))


@pytest.fixture(scope="module")
def release(built, tmp_path_factory) -> Path:
    """The unpacked release tree."""
    place = tmp_path_factory.mktemp("unpacked")
    with tarfile.open(built) as tar:
        tar.extractall(place)
    return place / "tcmicro-9.8.7"


def test_same_bytes_from_another_directory(built, copied_tree, tmp_path):
    again = artifact.build(copied_tree, "9.8.7", tmp_path)
    assert again.read_bytes() == built.read_bytes()


def test_checksum_file_is_what_sha256sum_reads(built):
    digest, name = built.with_name(f"{built.name}.sha256").read_text().split()
    assert (digest, name) == (hashlib.sha256(built.read_bytes()).hexdigest(), built.name)


def test_manifest_names_every_file_with_its_digest(release):
    manifest = json.loads((release / "manifest.json").read_text())
    found = {
        str(path.relative_to(release)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in release.rglob("*")
        if path.is_file() and path.name != "manifest.json"
    }
    assert manifest["files"] == found
    assert manifest["version"] == "9.8.7"


def test_version_is_written_into_the_agent(release):
    assert 'VERSION = "9.8.7"' in (release / "lib/tcmicro_agent/version.py").read_text()


def test_launcher_is_executable_and_isolated(release):
    launcher = release / "bin/tc-micro"
    assert launcher.stat().st_mode & 0o777 == 0o755
    assert launcher.read_text().splitlines()[0] == "#!/usr/bin/python3 -I"


def test_nothing_useless_travels(release):
    names = [str(path.relative_to(release)) for path in release.rglob("*")]
    names = [name for name in names if not name.startswith("trace/")]  # compiled by bcc, on demand
    assert not [n for n in names if n.endswith((".pyc", ".so", ".c")) or "/tests/" in n]
    assert (release / "lib/pyroute2/__init__.py").is_file()
    assert (release / "lib/prometheus_client/__init__.py").is_file()


def test_what_people_at_a_shell_need_travels(release):
    page = release / "share/man/man1/tc-micro.1"
    assert "tcmicro 9.8.7" in page.read_text()
    assert (release / "share/bash-completion/completions/tc-micro").is_file()
    assert (release / "trace/latency.bpf.o").is_file()


@pytest.mark.parametrize("version", ["", "1", "1.2", "v1.2.3", "1.2.3/../..", "1.2.3 "])
def test_impossible_version_is_refused(version, tmp_path):
    with pytest.raises(ToolError, match="is not like 1.2.3"):
        artifact.build(ROOT, version, tmp_path)
    assert not list(tmp_path.iterdir())


def test_source_that_is_no_checkout_is_refused(tmp_path):
    with pytest.raises(ToolError, match="no checkout"):
        artifact.build(tmp_path, "1.2.3", tmp_path / "out")


def test_archive_depends_on_content_alone():
    files = {"b": b"2", "a": b"1"}
    first = archive.pack("top", files, frozenset({"a"}))
    second = archive.pack("top", dict(reversed(files.items())), frozenset({"a"}))
    assert first == second
