# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Signatures made on the controller, and the program that hosts verify a release with. Pure."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Mapping

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from tcmicro_agent import signing
from tcmicro_agent.signing import Role, Statement

# what verify.py is made of
VERIFIER = ("__init__", "errors", "jsonutil", "signing", "verify")
START = "import sys\nfrom tcmicro_agent.verify import main\nsys.exit(main())\n"


class SigningError(Exception):
    """A key cannot be used; nothing was signed."""


def signer(pem: bytes, where: str) -> Callable[[bytes], bytes]:
    """What signs with the Ed25519 key in a PEM file that has no passphrase."""
    try:
        key = load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as exc:
        raise SigningError(f"{where}: is no private key in PEM without passphrase: {exc}") from exc
    if not isinstance(key, Ed25519PrivateKey):
        raise SigningError(f"{where}: is no Ed25519 key; make one: make keys")
    return key.sign


def policy_signature(
    digest: str, host: str, now: int, valid_s: int, sign: Callable[[bytes], bytes]
) -> str:
    """The signature file of a bundle. The serial is the time, so that later ones have higher ones."""
    statement = Statement(Role.POLICY, digest, host, now, now + valid_s)
    return signing.sign(statement, sign).content().decode()


def verifier(sources: Mapping[str, str]) -> bytes:
    """The modules of VERIFIER, by name, as a program that any Python from 3.9 on runs."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in VERIFIER:
            archive.writestr(f"tcmicro_agent/{name}.py", sources[name])
        archive.writestr("__main__.py", START)
    return buffer.getvalue()
