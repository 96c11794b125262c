"""The lab's keys and the signature beside an artifact."""

from __future__ import annotations

import hashlib
import time

import pytest

from tcmicro_agent import signing, verify
from tcmicro_agent.signing import Role, Wanted
from tools import keys, signature
from tools.process import ToolError


@pytest.fixture
def directory(tmp_path):
    keys.make(tmp_path / "keys")
    return tmp_path / "keys"


def test_each_role_has_a_key_of_its_own_that_only_its_owner_reads(directory):
    assert directory.stat().st_mode & 0o777 == 0o700
    for role in Role:
        assert keys.private(directory, role).stat().st_mode & 0o777 == 0o600
    halves = {signing.parse_public_key(keys.public(directory, role).read_text()) for role in Role}
    assert len(halves) == 2


def test_keys_that_are_there_stay(directory):
    before = {path.name: path.read_bytes() for path in directory.iterdir()}
    assert keys.make(directory) == []
    assert {path.name: path.read_bytes() for path in directory.iterdir()} == before


def test_an_artifact_is_signed_for_its_version_and_machine(directory, tmp_path):
    artifact = tmp_path / "tcmicro-0.1.0-rc1-x86_64.tar.gz"
    artifact.write_bytes(b"release")
    path = signature.sign(artifact, keys.private(directory, Role.RELEASE), days=1)
    public = signing.parse_public_key(keys.public(directory, Role.RELEASE).read_text())
    digest = hashlib.sha256(b"release").hexdigest()
    now = int(time.time())
    wanted = Wanted(Role.RELEASE, digest, "0.1.0-rc1/x86_64", 1, now)
    _, said = verify.check(signing.parse(path.read_bytes(), "x"), {"lab": public}, wanted)
    assert said.expires - said.serial == 86400


def test_what_is_not_named_like_an_artifact_is_not_signed(directory, tmp_path):
    with pytest.raises(ToolError, match="is not named like an artifact"):
        signature.sign(tmp_path / "x.tar.gz", keys.private(directory, Role.RELEASE))


@pytest.mark.parametrize("name", ["release.pub.pem", "missing.pem"])
def test_what_is_no_private_key_signs_nothing(directory, name):
    with pytest.raises(ToolError, match=f"{name}: is no private key"):
        signature.load(directory / name)
