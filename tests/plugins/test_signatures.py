"""What the controller signs is what hosts verify, with the program it sends them."""

from __future__ import annotations

import hashlib
import subprocess
import sys

import pytest
from ansible_collections.tcmicro.fleet.plugins.action.agent_release import sources
from ansible_collections.tcmicro.fleet.plugins.module_utils import verification
from ansible_collections.tcmicro.fleet.plugins.plugin_utils import signatures
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from signatures import NEVER, new_key, pem, raw

from tcmicro_agent import signing, verify
from tcmicro_agent.signing import Role, Statement, Wanted

KEY, OTHER_KEY = new_key(), new_key()
SUBJECT = "0.1.0/x86_64"


def private(key, encryption=None):
    how = encryption or NoEncryption()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, how)


def test_a_bundle_is_signed_for_one_host_until_a_time():
    sign = signatures.signer(private(KEY), "policy.key.pem")
    made = signatures.policy_signature("d" * 64, "db1", 1000, 60, sign)
    wanted = Wanted(Role.POLICY, "d" * 64, "db1", floor=1000, now=1060)
    found = verify.check(signing.parse(made.encode(), "x"), {"lab": raw(KEY)}, wanted)
    assert found == ("lab", Statement(Role.POLICY, "d" * 64, "db1", 1000, 1060))


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is no private key in PEM"),
        (pem(KEY).encode(), "is no private key in PEM"),
        (private(KEY, BestAvailableEncryption(b"x")), "without passphrase"),
        (private(rsa.generate_private_key(65537, 2048)), "is no Ed25519 key"),
    ],
    ids=["empty", "public", "passphrase", "RSA"],
)
def test_a_key_that_cannot_sign_is_named(content, says):
    with pytest.raises(signatures.SigningError, match=f"my.pem: .*{says}"):
        signatures.signer(content, "my.pem")


@pytest.fixture
def sent(tmp_path):
    """An artifact as it is on a host, and what the host's Python says of it."""
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys/lab.pem").write_text(pem(KEY))
    (tmp_path / "a.tar.gz").write_bytes(b"release")
    (tmp_path / "verify.pyz").write_bytes(signatures.verifier(sources()))

    def run(argv):
        argv = [*argv, "--keys", str(tmp_path / "keys")]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=60, cwd="/")
        return done.returncode, done.stdout, done.stderr

    def problem(key=KEY, *, role=Role.RELEASE, floor=0, signed=True):
        digest = hashlib.sha256(b"release").hexdigest()
        statement = Statement(role, digest, SUBJECT, 100, NEVER)
        (tmp_path / "a.sig").write_bytes(signing.sign(statement, key.sign).content())
        names = {"src": "a.tar.gz", "signature": "a.sig", "verifier": "verify.pyz"}
        paths = {name: str(tmp_path / file) for name, file in names.items()}
        if not signed:
            paths["signature"] = None
        return verification.problem(run, paths, SUBJECT, floor)

    problem.home = tmp_path
    return problem


def test_the_program_runs_alone_and_finds_the_signature_right(sent):
    assert sent() == ""


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"signed": False}, "it is unsigned"),
        ({"key": OTHER_KEY}, "by none of the release keys"),
        ({"role": Role.POLICY}, "role: it is for policy, not release"),
        ({"floor": 101}, "serial: 100 is older than 101"),
    ],
    ids=["unsigned", "key", "role", "replay"],
)
def test_what_is_wrong_is_said(sent, options, says):
    assert says in sent(**options)


def test_a_changed_artifact_is_found(sent):
    (sent.home / "a.tar.gz").write_bytes(b"released")
    assert "digest: it is for" in sent()


def test_a_program_that_does_not_answer_is_no_yes(sent):
    (sent.home / "verify.pyz").write_text("raise SystemExit(0)")
    assert "did not answer (exit code 0)" in sent()


@pytest.mark.parametrize("answer", ["{}", "[]", "null", '{"key": ""}', '{"problem": ""}', "{", ""])
def test_an_exit_code_alone_is_no_yes(answer):
    paths = {"src": "a", "signature": "b", "verifier": "c"}
    assert verification.problem(lambda _: (0, answer, ""), paths, SUBJECT, 0)


def test_the_host_s_own_python_is_asked():
    calls = []
    paths = {"src": "a", "signature": "b", "verifier": "c"}
    verification.problem(lambda argv: calls.append(argv) or (1, "", ""), paths, SUBJECT, 7)
    assert calls[0][:3] == [sys.executable, "-I", "c"]
    assert calls[0][-4:] == ["--subject", SUBJECT, "--floor", "7"]
