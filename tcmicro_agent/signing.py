"""What a signature says, and whether that is enough. Pure: the bytes are verified in verify.py, time is passed in.

A statement names one artifact or bundle by digest, whom it is for, until when, and a serial that only grows. What is
signed is the statement's text, byte for byte; a signature file carries both:

    {"kind": "Signature", "signature": "<base64 of 64 bytes>", "statement": "{\\"kind\\":\\"policy\\", …}"}
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone
from enum import Enum

from tcmicro_agent.errors import BundleError
from tcmicro_agent.jsonutil import Reader, loads, read

MAX_NUMBER = 2**53  # that JSON numbers carry exactly
SIGNATURE_BYTES = 64
KEY_BYTES = 32
# SubjectPublicKeyInfo of an Ed25519 key (RFC 8410): this, then the key
KEY_PREFIX = bytes.fromhex("302a300506032b6570032100")
PEM_LINES = ("-----BEGIN PUBLIC KEY-----", "-----END PUBLIC KEY-----")


class Role(Enum):
    """What a key may sign; keys of the one are nothing to the other."""

    RELEASE = "release"
    POLICY = "policy"


@dataclass(frozen=True)
class Statement:
    """`subject` is the host a policy is for, or `version/arch` of a release; `serial` and `expires` are
    seconds since 1970, of which the first only has to grow."""

    role: Role
    digest: str
    subject: str
    serial: int
    expires: int

    def text(self) -> str:
        """The bytes to sign: canonical JSON."""
        document = {**vars(self), "role": self.role.value}
        return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


@dataclass(frozen=True)
class Signed:
    """A signature file, taken apart; nothing in it is to be believed before the signature is verified."""

    text: str
    signature: bytes

    def statement(self) -> Statement:
        return read(loads(self.text, BundleError, "statement"), _read_statement, BundleError)

    def content(self) -> bytes:
        """The file."""
        encoded = base64.b64encode(self.signature).decode()
        document = {"kind": "Signature", "signature": encoded, "statement": self.text}
        return json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False).encode() + b"\n"


@dataclass(frozen=True)
class Wanted:
    """What a statement has to say to be of use. `floor` is the highest serial that was confirmed here."""

    role: Role
    digest: str
    subject: str
    floor: int
    now: int


def sign(statement: Statement, signer: Callable[[bytes], bytes]) -> Signed:
    """`signer` makes an Ed25519 signature."""
    text = statement.text()
    return Signed(text, signer(text.encode()))


def parse(content: bytes, where: str) -> Signed:
    """The signature file's content. Raises BundleError with every fault."""
    return read(loads(content, BundleError, where), _read_signed, BundleError)


def judge(statement: Statement, wanted: Wanted) -> list[str]:
    """Why a statement, verified, is not enough; empty when it is."""
    return [
        *_differs("role", statement.role.value, wanted.role.value),
        *_differs("digest", statement.digest, wanted.digest),
        *_differs("subject", statement.subject, wanted.subject),
        *judge_serial(statement.serial, wanted.floor),
        *_expired(statement.expires, wanted.now),
    ]


def judge_serial(serial: int, floor: int) -> list[str]:
    """Against replay of what was replaced: going back takes a new signature over the old content."""
    if serial >= floor:
        return []
    return [f"serial: {serial} is older than {floor}, which was in force here already"]


def parse_public_key(pem: str) -> bytes:
    """The 32 bytes of an Ed25519 key in PEM. Raises ValueError for whatever else."""
    lines = [line.strip() for line in pem.strip().splitlines()]
    if len(lines) < 3 or (lines[0], lines[-1]) != PEM_LINES:
        raise ValueError(f"is no public key in PEM; it begins with {PEM_LINES[0]}")
    decoded = _base64("".join(lines[1:-1]))
    if len(decoded) != len(KEY_PREFIX) + KEY_BYTES or not decoded.startswith(KEY_PREFIX):
        raise ValueError("is no Ed25519 key; make one: make keys")
    return decoded[len(KEY_PREFIX) :]


def _read_signed(doc: Reader) -> Signed:
    if doc.get_str("kind") != "Signature":
        doc.fault("kind", 'not a "Signature"')
    signature = doc.get_value("signature", _base64, b"")
    if len(signature) != SIGNATURE_BYTES:
        doc.fault(
            "signature", f"{len(signature)} bytes, an Ed25519 signature has {SIGNATURE_BYTES}"
        )
    return Signed(doc.get_str("statement"), signature)


def _read_statement(doc: Reader) -> Statement:
    return Statement(
        role=doc.get_enum("role", Role),
        digest=doc.get_str("digest"),
        subject=doc.get_str("subject"),
        serial=doc.get_int("serial", 1, MAX_NUMBER, "serial"),
        expires=doc.get_int("expires", 1, MAX_NUMBER, "time"),
    )


def _base64(text: str) -> bytes:
    try:
        return base64.b64decode(text.encode(), validate=True)
    except (binascii.Error, UnicodeEncodeError) as exc:
        raise ValueError(f"is not base64: {exc}") from exc


def _differs(what: str, found: str, wanted: str) -> list[str]:
    return [] if found == wanted else [f"{what}: it is for {_short(found)}, not {_short(wanted)}"]


def _short(text: str) -> str:
    """A digest as people name it, whatever else as it is; printable, for it comes from outside."""
    return ascii(text[:12] if len(text) == 64 else text[:80]).strip("'")


def _expired(expires: int, now: int) -> list[str]:
    if now <= expires:
        return []
    return [f"expires: it was good until {_time(expires)}, this host's clock says {_time(now)}"]


def _time(seconds: int) -> str:
    try:
        return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%d %H:%M:%S UTC")
    except (OverflowError, ValueError, OSError):
        return f"second {seconds}"
