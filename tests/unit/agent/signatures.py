"""Keys that sign, made anew for each run, and statements about bundles."""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tcmicro_agent import signing
from tcmicro_agent.policy.bundle import digest
from tcmicro_agent.signing import Role, Signed, Statement

NEVER = 2**40  # seconds since 1970: not in our days


def new_key() -> Ed25519PrivateKey:
    return Ed25519PrivateKey.generate()


def pem(key: Ed25519PrivateKey) -> str:
    half = key.public_key()
    return half.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def raw(key: Ed25519PrivateKey) -> bytes:
    return key.public_key().public_bytes_raw()


def policy(bundle, serial=1, expires=NEVER, *, role=Role.POLICY, host=None) -> Statement:
    return Statement(role, digest(bundle), host or bundle.host, serial, expires)


def signed(statement: Statement, key: Ed25519PrivateKey) -> Signed:
    return signing.sign(statement, key.sign)
