"""What leaves a host: no secrets, and never more than its bound."""

from __future__ import annotations

import json
import os
import random
import tarfile

import pytest

from tcmicro_agent.parcel import CUT, Parcel
from tcmicro_agent.redaction import REDACTED, Redaction

SECRET = "Sup3rS3cretValue42"
MOST = 1 << 18


@pytest.mark.parametrize(
    "text",
    [
        f"policy confirm 1 --token {SECRET}",
        f"token={SECRET} next",
        f'{{"password": "{SECRET}"}}',
        f"Authorization: Bearer {SECRET}",
        f"curl https://user:{SECRET}@host/x",
        f"-----BEGIN PRIVATE KEY-----\n{SECRET}\n-----END PRIVATE KEY-----",
        f"-----BEGIN ED25519 PRIVATE KEY-----\n{SECRET}",
        f"api_key: '{SECRET}'",
        f"somewhere {SECRET} alone",
    ],
)
def test_a_secret_is_taken_out_of_text(text):
    redaction = Redaction([SECRET] if "alone" in text else [])
    assert SECRET not in redaction.text(text)
    assert redaction.count >= 1


@pytest.mark.parametrize(
    "text",
    [
        "nothing of the kind",
        "drop default_deny rule db-in/pg-from-web 10.0.0.1:5432",
        "tokens are left out",
        "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA\n-----END PUBLIC KEY-----",
    ],
)
def test_what_is_no_secret_stays(text):
    redaction = Redaction()
    assert redaction.text(text) == text
    assert redaction.count == 0


def test_a_document_keeps_its_shape():
    found = Redaction().document(
        {"a": [{"token": SECRET}], "private": {"x": 1}, "n": 1, "token": None}
    )
    assert found == {"a": [{"token": REDACTED}], "private": REDACTED, "n": 1, "token": None}


def packed(path) -> dict[str, bytes]:
    with tarfile.open(path) as archive:
        return {m.name: archive.extractfile(m).read() for m in archive}


def test_random_content_never_passes_the_bound(tmp_path):
    seed = random.randrange(1 << 30)
    chance = random.Random(seed)
    path = tmp_path / "x.tar.gz"
    with Parcel(path, "top", MOST, 0) as parcel:
        for n in range(200):
            parcel.add(f"{n}", chance.randbytes(chance.randrange(1 << chance.randrange(1, 18))))
        parcel.add_last("contents.json", json.dumps(parcel.contents.left_out).encode())
    assert path.stat().st_size <= MOST, f"seed {seed}"
    assert parcel.contents.left_out, f"seed {seed}"
    held = packed(path)
    assert set(held) == {f"top/{name}" for name in parcel.contents.files}


def test_of_a_long_text_the_end_is_kept(tmp_path):
    path = tmp_path / "x.tar.gz"
    lines = "".join(f"line {n}\n" for n in range(100_000))
    with Parcel(path, "top", MOST, 0) as parcel:
        assert parcel.add_tail("log", lines)
    held = packed(path)["top/log"].decode()
    assert held.startswith(CUT)
    assert held.endswith("line 99999\n")
    assert parcel.contents.left_out[0]["what"] == "log"


def test_what_fails_leaves_no_file(tmp_path):
    path = tmp_path / "x.tar.gz"
    with pytest.raises(RuntimeError):
        fill_halfway(path)
    assert os.listdir(tmp_path) == []


def fill_halfway(path) -> None:
    with Parcel(path, "top", MOST, 0) as parcel:
        parcel.add("a", b"x")
        raise RuntimeError
