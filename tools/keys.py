"""`make keys`: Ed25519 keys for the lab, one pair that signs releases and one that signs policies.

What is there stays as it is. Keys of a real fleet are made the same way, with --directory, and kept apart.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from tcmicro_agent.signing import Role

ROOT = Path(__file__).resolve().parents[1]
DIRECTORY = ROOT / ".keys"


def private(directory: Path, role: Role) -> Path:
    return directory / f"{role.value}.key.pem"


def public(directory: Path, role: Role) -> Path:
    return directory / f"{role.value}.pub.pem"


def make(directory: Path = DIRECTORY) -> list[Path]:
    """Makes the pairs that are not there; the private keys it made, readable by their owner alone."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    missing = [role for role in Role if not private(directory, role).exists()]
    for role in missing:
        _make_pair(directory, role)
    return [private(directory, role) for role in missing]


def _make_pair(directory: Path, role: Role) -> None:
    key = Ed25519PrivateKey.generate()
    half = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    public(directory, role).write_bytes(half)
    whole = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    descriptor = os.open(private(directory, role), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(whole)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="make keys", description=__doc__)
    parser.add_argument("--directory", type=Path, default=DIRECTORY, help="where they are or go")
    options = parser.parse_args(argv)
    try:
        made = make(options.directory)
    except OSError as exc:
        print(f"keys: {exc}", file=sys.stderr)
        return 1
    for path in made:
        print(f"made {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
