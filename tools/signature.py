"""The signature beside an artifact, without which hosts do not unpack it."""

from __future__ import annotations

import hashlib
import re
import time
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from tcmicro_agent import signing
from tcmicro_agent.signing import Role, Statement
from tools.process import ToolError

DAY_S = 86400
VALID_DAYS = 365
NAME = re.compile(r"tcmicro-(?P<version>.+)-(?P<arch>[^-]+)\.tar\.gz")


def sign(artifact: Path, key: Path, days: int = VALID_DAYS) -> Path:
    """Writes ARTIFACT.sig, good for so many days. Its serial is the time, so that what is signed later is newer."""
    match = NAME.fullmatch(artifact.name)
    if match is None:
        raise ToolError(
            f"{artifact}: is not named like an artifact, tcmicro-<version>-<arch>.tar.gz"
        )
    digest, now = hashlib.sha256(artifact.read_bytes()).hexdigest(), int(time.time())
    subject = f"{match['version']}/{match['arch']}"
    statement = Statement(Role.RELEASE, digest, subject, now, now + days * DAY_S)
    path = artifact.with_name(f"{artifact.name}.sig")
    path.write_bytes(signing.sign(statement, load(key).sign).content())
    return path


def load(path: Path) -> Ed25519PrivateKey:
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except (OSError, ValueError, TypeError) as exc:
        raise ToolError(f"{path}: is no private key in PEM without passphrase: {exc}") from exc
    if not isinstance(key, Ed25519PrivateKey):
        raise ToolError(f"{path}: is no Ed25519 key; make one: make keys")
    return key
