"""An artifact is sent only when it is what its digest file says."""

from __future__ import annotations

import hashlib

import pytest
from ansible_collections.tcmicro.fleet.plugins.plugin_utils import artifacts


@pytest.fixture
def build(tmp_path):
    """Write an artifact and its digest file; the content may be changed afterwards."""

    def make(version="0.1.0", arch="x86_64", content=b"release"):
        path = tmp_path / f"tcmicro-{version}-{arch}.tar.gz"
        path.write_bytes(content)
        digest = hashlib.sha256(content).hexdigest()
        path.with_name(f"{path.name}.sha256").write_text(f"{digest}  {path.name}\n")
        return path

    return make


def refusal(call, *args):
    with pytest.raises(artifacts.ArtifactError) as caught:
        call(*args)
    return str(caught.value)


def test_artifacts_are_found_by_machine_type(build, tmp_path):
    one, two = build(arch="x86_64"), build(arch="aarch64", content=b"arm")
    build("0.1.1")
    found = artifacts.find("0.1.0", tmp_path)
    assert {arch: artifact.path for arch, artifact in found.items()} == {
        "x86_64": one,
        "aarch64": two,
    }
    assert found["x86_64"].digest == hashlib.sha256(b"release").hexdigest()


def test_prerelease_is_a_version_of_its_own(build, tmp_path):
    build("0.1.0"), build("0.1.0-rc1")
    assert (
        artifacts.find("0.1.0-rc1", tmp_path)["x86_64"].path.name
        == "tcmicro-0.1.0-rc1-x86_64.tar.gz"
    )
    assert artifacts.find("0.1.0", tmp_path)["x86_64"].path.name == "tcmicro-0.1.0-x86_64.tar.gz"


def test_missing_release_names_those_that_there_are(build, tmp_path):
    build("0.1.0"), build("0.1.1")
    said = refusal(artifacts.find, "9.9.9", tmp_path)
    assert "release 9.9.9 is not there" in said
    assert "there are: 0.1.0, 0.1.1" in said
    assert "make artifact VERSION=9.9.9" in said


def test_empty_directory_has_none(tmp_path):
    assert "there are: none" in refusal(artifacts.find, "0.1.0", tmp_path / "build")


def test_changed_artifact_is_refused(build, tmp_path):
    path = build()
    path.write_bytes(b"evil")
    said = refusal(artifacts.find, "0.1.0", tmp_path)
    assert hashlib.sha256(b"evil").hexdigest() in said
    assert "nothing was sent" in said


def test_artifact_without_digest_is_refused(build):
    path = build()
    path.with_name(f"{path.name}.sha256").unlink()
    assert "digest file" in refusal(artifacts.load, path)


@pytest.mark.parametrize("version", [None, 0.1, "", "../0.1.0", "0.1.0/x", "latest"])
def test_what_is_no_version_is_refused(version, tmp_path):
    assert "is not a version" in refusal(artifacts.find, version, tmp_path)


def test_signature_beside_an_artifact_is_found(build):
    path = build()
    assert artifacts.load(path).signature is None
    beside = path.with_name(f"{path.name}.sig")
    beside.write_text("{}")
    assert artifacts.load(path).signature == beside


def test_unsigned_artifact_is_refused_and_named(build):
    signed, unsigned = artifacts.load(build()), artifacts.load(build("0.1.1"))
    signed = artifacts.Artifact(signed.path, signed.digest, signed.path)
    artifacts.refuse_unsigned([signed])
    said = refusal(artifacts.refuse_unsigned, [signed, unsigned])
    assert "tcmicro-0.1.1-x86_64.tar.gz is unsigned" in said
    assert "nothing was sent" in said
