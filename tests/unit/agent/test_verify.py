"""Signatures by the real libcrypto: right ones, each kind of wrong one, and the program that Ansible runs."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess

import pytest
from signatures import NEVER, new_key, pem, raw

from tcmicro_agent import signing, verify
from tcmicro_agent.errors import RefusedError, StoreError
from tcmicro_agent.signing import Role, Signed, Statement, Wanted

SAID = Statement(Role.RELEASE, "d" * 64, "0.1.0/x86_64", 100, 2000)
WANTED = Wanted(Role.RELEASE, "d" * 64, "0.1.0/x86_64", 1, 1000)
OLD_KEY, NEW_KEY, OTHER_KEY = new_key(), new_key(), new_key()
KEYS = {"new": raw(NEW_KEY), "old": raw(OLD_KEY)}


@pytest.mark.parametrize(("key", "name"), [(OLD_KEY, "old"), (NEW_KEY, "new")], ids=["old", "new"])
def test_any_of_the_trusted_keys_will_do(key, name):
    assert verify.check(signing.sign(SAID, key.sign), KEYS, WANTED) == (name, SAID)


def test_a_key_that_is_not_trusted_is_refused():
    with pytest.raises(
        RefusedError, match=r"by none of the release keys .* \(new, old\)"
    ) as caught:
        verify.check(signing.sign(SAID, OTHER_KEY.sign), KEYS, WANTED)
    assert caught.value.exit_code == 3


def test_without_keys_nothing_is_taken():
    with pytest.raises(RefusedError, match="none: /etc/tcmicro/keys/release is empty"):
        verify.check(signing.sign(SAID, NEW_KEY.sign), {}, WANTED)


def test_what_is_verified_is_judged_after_that():
    late = Wanted(Role.RELEASE, "d" * 64, "0.1.0/x86_64", 101, 1000)
    with pytest.raises(RefusedError, match="serial: 100 is older than 101"):
        verify.check(signing.sign(SAID, NEW_KEY.sign), KEYS, late)


def test_every_changed_bit_of_text_and_signature_is_found():
    made = signing.sign(SAID, NEW_KEY.sign)
    text = made.text.encode()
    changed = [
        Signed((text[:i] + bytes([text[i] ^ 1]) + text[i + 1 :]).decode(), made.signature)
        for i in range(len(text))
    ]
    changed += [
        Signed(
            made.text,
            bytes(b ^ (1 << (i % 8) if i == n else 0) for n, b in enumerate(made.signature)),
        )
        for i in range(len(made.signature))
    ]
    assert verify.signer(made, KEYS) == "new"
    assert [other for other in changed if verify.signer(other, KEYS)] == []


@pytest.mark.parametrize("signature", [b"", b"x", bytes(63), bytes(64), bytes(65)], ids=len)
def test_signatures_of_any_length_are_only_wrong(signature):
    assert verify.signer(Signed(SAID.text(), signature), KEYS) is None


def test_text_that_is_no_unicode_is_only_wrong():
    assert verify.signer(Signed("\udcff", bytes(64)), KEYS) is None


def test_openssl_of_3_agrees(tmp_path):
    """docs/signing.md says how people verify by hand; that has to be true."""
    program = shutil.which("openssl")
    if not program:
        pytest.skip("no program openssl here")
    made = signing.sign(SAID, NEW_KEY.sign)
    (tmp_path / "key.pem").write_text(pem(NEW_KEY))
    (tmp_path / "text").write_bytes(made.text.encode())
    (tmp_path / "signature").write_bytes(made.signature)
    how = ["-verify", "-pubin", "-inkey", "key.pem", "-rawin", "-in", "text"]
    argv = [program, "pkeyutl", *how, "-sigfile", "signature"]
    done = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr


def test_keys_are_the_pem_files_of_a_directory(tmp_path):
    (tmp_path / "b.pem").write_text(pem(OLD_KEY))
    (tmp_path / "a.pem").write_text(pem(NEW_KEY))
    (tmp_path / "README").write_text("not a key")
    assert list(verify.read_keys(tmp_path).items()) == [("a", raw(NEW_KEY)), ("b", raw(OLD_KEY))]


def test_a_file_that_is_no_key_is_named(tmp_path):
    (tmp_path / "bad.pem").write_text("-----BEGIN CERTIFICATE-----\n")
    with pytest.raises(StoreError, match="bad.pem: is no public key"):
        verify.read_keys(tmp_path)


def test_a_directory_that_is_missing_holds_no_keys(tmp_path):
    assert verify.read_keys(tmp_path / "none") == {}


@pytest.fixture
def release(tmp_path):
    """The program on an artifact, its signature, and a directory of keys; exit code and answer."""
    artifact, signature, keys = (tmp_path / name for name in ("a.tar.gz", "a.sig", "keys"))
    artifact.write_bytes(b"release")
    keys.mkdir()
    (keys / "lab.pem").write_text(pem(NEW_KEY))
    digest = hashlib.sha256(b"release").hexdigest()
    statement = Statement(Role.RELEASE, digest, "0.1.0/x86_64", 100, NEVER)
    signature.write_bytes(signing.sign(statement, NEW_KEY.sign).content())

    def run(capsys, subject="0.1.0/x86_64", floor=0):
        argv = ["--artifact", artifact, "--signature", signature, "--keys", keys]
        code = verify.main([*map(str, argv), "--subject", subject, "--floor", str(floor)])
        return code, json.loads(capsys.readouterr().out)

    run.artifact, run.signature = artifact, signature
    return run


def test_the_program_says_who_signed_the_artifact(release, capsys):
    assert release(capsys) == (0, {"key": "lab", "serial": 100})


def test_the_program_refuses_a_changed_artifact(release, capsys):
    release.artifact.write_bytes(b"released")
    code, answer = release(capsys)
    assert code == 3
    assert "digest: it is for" in answer["problem"]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"subject": "0.1.1/x86_64"}, "subject: it is for 0.1.0/x86_64, not 0.1.1/x86_64"),
        ({"subject": "0.1.0/aarch64"}, "not 0.1.0/aarch64"),
        ({"floor": 101}, "serial: 100 is older than 101"),
    ],
)
def test_the_program_refuses_another_release_and_an_old_one(release, capsys, options, says):
    code, answer = release(capsys, **options)
    assert code == 3
    assert says in answer["problem"]


def test_the_program_says_what_it_cannot_read(release, capsys):
    release.signature.write_text("{}")
    assert release(capsys)[0] == 6
    release.signature.unlink()
    assert release(capsys)[0] == 1
