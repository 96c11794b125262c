"""Releases on a host: unpacked whole or not at all, switched by one rename, never more than needed."""

from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile

import pytest
from ansible_collections.tcmicro.fleet.plugins.module_utils import releases
from ansible_collections.tcmicro.fleet.plugins.module_utils.releases import Layout, ReleaseError

FILES = {
    "bin/tc-micro": b"#!/bin/sh\n",
    "lib/x.py": b"x = 1\n",
    "tcmicro-agent.service": b"[Unit]\n",
}


def manifest(version, files):
    named = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    return json.dumps({"name": "tcmicro", "version": version, "files": named}).encode()


def pack(path, members):
    """A tar of (name, content) pairs; content may be a ready TarInfo for what is not a file."""
    with tarfile.open(path, "w:gz") as archive:
        for name, content in members:
            info = content if isinstance(content, tarfile.TarInfo) else tarfile.TarInfo(name)
            info.name = name
            data = b"" if content is info else content
            info.size, info.mode = len(data), 0o755 if "bin/" in name else 0o644
            archive.addfile(info, io.BytesIO(data))
    return path


def artifact(path, version="0.1.0", files=FILES, *, said=None, extra=()):
    whole = {**files, "manifest.json": manifest(version, said or files)}
    members = [(f"tcmicro-{version}/{name}", content) for name, content in whole.items()]
    return pack(path / f"{version}.tar.gz", [*members, *extra])


@pytest.fixture
def layout(tmp_path):
    made = Layout(str(tmp_path / "host"))
    made.unit.parent.mkdir(parents=True)
    return made


@pytest.fixture
def install(layout, tmp_path):
    def put(version="0.1.0", **options):
        path = artifact(tmp_path, version, **options)
        layout.unpack(path, version, releases.sha256(path))

    return put


def test_release_is_unpacked_with_modes_and_digest(layout, install, tmp_path):
    install()
    release = layout.release("0.1.0")
    assert (release / "lib/x.py").read_bytes() == FILES["lib/x.py"]
    assert os.access(release / "bin/tc-micro", os.X_OK)
    assert not os.access(release / "lib/x.py", os.X_OK)
    assert layout.digest("0.1.0") == releases.sha256(tmp_path / "0.1.0.tar.gz")
    assert layout.installed() == ["0.1.0"]


def test_damage_on_the_way_is_found_before_anything_is_unpacked(layout, tmp_path):
    with pytest.raises(ReleaseError, match="damaged on the way"):
        layout.unpack(artifact(tmp_path), "0.1.0", "0" * 64)
    assert layout.installed() == []


def link(kind):
    info = tarfile.TarInfo()
    info.type, info.linkname = kind, "/etc/passwd"
    return info


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("tcmicro-0.1.0/../../etc/cron.d/x", b"evil"),
        ("/etc/cron.d/x", b"evil"),
        ("other/x", b"evil"),
        ("tcmicro-0.1.0/link", link(tarfile.SYMTYPE)),
        ("tcmicro-0.1.0/link", link(tarfile.LNKTYPE)),
        ("tcmicro-0.1.0/device", link(tarfile.CHRTYPE)),
    ],
    ids=["traversal", "absolute", "other folder", "symlink", "hard link", "device"],
)
def test_hostile_artifact_leaves_nothing(install, layout, tmp_path, name, content):
    with pytest.raises(ReleaseError, match="allowed"):
        install(extra=[(name, content)])
    assert list(layout.releases.iterdir()) == []
    assert not (tmp_path / "etc").exists()


@pytest.mark.parametrize(
    "options",
    [
        {"said": {**FILES, "lib/x.py": b"y"}},
        {"said": {**FILES, "lib/gone.py": b"y"}},
        {"said": {k: v for k, v in FILES.items() if k != "lib/x.py"}},
    ],
    ids=["changed", "missing", "unnamed"],
)
def test_files_that_the_manifest_does_not_vouch_for_are_refused(install, layout, options):
    with pytest.raises(ReleaseError, match="not what its manifest says"):
        install(**options)
    assert layout.installed() == []


def test_manifest_of_another_version_is_refused(layout, tmp_path):
    files = {f"tcmicro-0.1.1/{name}": content for name, content in FILES.items()}
    members = [*files.items(), ("tcmicro-0.1.1/manifest.json", manifest("0.1.0", FILES))]
    path = pack(tmp_path / "x.tar.gz", members)
    with pytest.raises(ReleaseError, match="says it is 0.1.0"):
        layout.unpack(path, "0.1.1", releases.sha256(path))


def test_rest_of_an_interrupted_run_does_not_matter(install, layout):
    rest = layout.release("0.1.0.tmp")
    rest.mkdir(parents=True)
    (rest / "half").write_text("x")
    install()
    assert layout.installed() == ["0.1.0"]
    assert not (layout.release("0.1.0") / "half").exists()


def links(layout):
    return layout.linked(layout.current), layout.linked(layout.previous)


def test_switch_remembers_the_release_before(install, layout):
    install("0.1.0"), install("0.1.1")
    layout.switch("0.1.0")
    assert links(layout) == ("0.1.0", None)
    layout.switch("0.1.1")
    assert links(layout) == ("0.1.1", "0.1.0")
    assert layout.current.resolve() == layout.release("0.1.1")


def test_switching_twice_keeps_the_release_before(install, layout):
    install("0.1.0"), install("0.1.1")
    for version in ("0.1.0", "0.1.1", "0.1.1"):
        layout.switch(version)
    assert links(layout) == ("0.1.1", "0.1.0")


def test_taken_back_host_has_nothing_left_to_take_back(install, layout):
    install("0.1.0"), install("0.1.1")
    layout.switch("0.1.0"), layout.switch("0.1.1")
    layout.take_back("0.1.0")
    assert links(layout) == ("0.1.0", "0.1.0")


def test_links_are_restored_also_to_absence(install, layout):
    install()
    layout.switch("0.1.0")
    layout.restore(None, None)
    assert links(layout) == (None, None)


def test_unit_is_installed_when_it_differs(install, layout):
    install()
    assert layout.unit_differs("0.1.0")
    layout.install_unit("0.1.0")
    assert not layout.unit_differs("0.1.0")
    layout.unit.write_text("edited")
    assert layout.unit_differs("0.1.0")


def test_command_is_linked_to_whatever_is_current(install, layout):
    install()
    layout.switch("0.1.0")
    assert layout.command_differs()
    layout.link_command()
    assert not layout.command_differs()
    assert layout.command.resolve() == layout.release("0.1.0") / "bin/tc-micro"


def test_pruning_keeps_three_and_always_the_two_in_use(install, layout):
    for number in range(6):
        install(f"0.1.{number}")
        os.utime(layout.release(f"0.1.{number}"), (number, number))
    layout.switch("0.1.0"), layout.switch("0.1.1")
    layout.prune()
    assert layout.installed() == ["0.1.0", "0.1.1", "0.1.5"]
    assert layout.prunable() == []


def signature(tmp_path, serial):
    path = tmp_path / f"{serial}.sig"
    path.write_text(json.dumps({"statement": json.dumps({"serial": serial})}))
    return path


def test_a_release_that_ran_raises_the_floor_and_an_older_one_leaves_it(layout, tmp_path):
    for version, serial in (("0.1.0", 100), ("0.1.1", 200)):
        path = artifact(tmp_path, version)
        layout.unpack(path, version, releases.sha256(path), signature(tmp_path, serial))
    assert layout.floor() == 0
    found = []
    for version in ("0.1.0", "0.1.1", "0.1.0"):
        layout.raise_floor(version)
        found.append(layout.floor())
    assert found == [100, 200, 200]


def test_a_release_that_came_unsigned_raises_no_floor(layout, install):
    install()
    layout.raise_floor("0.1.0")
    assert layout.floor() == 0
    assert not layout.floor_file.exists()


def test_a_damaged_floor_is_named(layout):
    layout.floor_file.parent.mkdir(parents=True)
    layout.floor_file.write_text("x")
    with pytest.raises(ReleaseError, match="'x' is no number"):
        layout.floor()
