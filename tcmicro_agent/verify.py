"""Ed25519 signatures verified by the host's own libcrypto, and the keys it trusts.

The library and not the program `openssl`: that one verifies Ed25519 from 3.0 on only and is not everywhere; Python
itself needs the library. Ansible also runs this file, zipped with those it imports, before a release is unpacked.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import sys
import time
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path

from tcmicro_agent import signing
from tcmicro_agent.errors import RefusedError, StoreError, TcmicroError
from tcmicro_agent.signing import Role, Signed, Statement, Wanted

LIBRARIES = ("libcrypto.so.3", "libcrypto.so.1.1")  # Ed25519 came with 1.1.1
EVP_PKEY_ED25519 = 1087  # NID_ED25519 of openssl/obj_mac.h
KEYS = Path("/etc/tcmicro/keys")
HOW_TO_ALLOW = (
    "sign it (docs/signing.md), or allow what is not signed: tcmicro_allow_unsigned: true"
)


def check(signed: Signed, keys: Mapping[str, bytes], wanted: Wanted) -> tuple[str, Statement]:
    """The name of the key that signed, and what it says. Raises RefusedError where that is not what is wanted."""
    name = signer(signed, keys)
    if name is None:
        trusted = ", ".join(keys) or f"none: {KEYS / wanted.role.value} is empty"
        text = (
            f"signature: by none of the {wanted.role.value} keys that are trusted here ({trusted})"
        )
        raise RefusedError(text, hint=HOW_TO_ALLOW)
    statement = signed.statement()
    problems = signing.judge(statement, wanted)
    if problems:
        raise RefusedError("signature: " + "; ".join(problems), hint="sign it anew")
    return name, statement


def signer(signed: Signed, keys: Mapping[str, bytes]) -> str | None:
    """Name of the first key that the signature is by."""
    crypto, message = library(), signed.text.encode(errors="surrogatepass")
    for name, key in keys.items():
        if is_by(crypto, key, message, signed.signature):
            return name
    return None


def read_keys(directory: Path) -> dict[str, bytes]:
    """Every `*.pem` in a directory by its name; raises StoreError for one that is no Ed25519 key."""
    found = {}
    for path in sorted(directory.glob("*.pem")):
        try:
            found[path.stem] = signing.parse_public_key(path.read_text())
        except (OSError, ValueError) as exc:
            raise StoreError(f"{path}: {exc}") from exc
    return found


def library() -> ctypes.CDLL:
    """libcrypto, with the functions that are used declared."""
    for name in LIBRARIES:
        try:
            return _declared(ctypes.CDLL(name))
        except (OSError, AttributeError):
            continue
    raise StoreError(f"none of {', '.join(LIBRARIES)} is here: signatures cannot be verified")


def is_by(crypto: ctypes.CDLL, key: bytes, message: bytes, signature: bytes) -> bool:
    """Whether the signature of a message is by that public key."""
    handle = crypto.EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, None, key, len(key))
    context = crypto.EVP_MD_CTX_new()
    try:
        if not handle or not context:
            raise StoreError("libcrypto takes no Ed25519 keys (FIPS mode?)")
        begun = crypto.EVP_DigestVerifyInit(context, None, None, None, handle)
        if begun != 1:
            raise StoreError("libcrypto verifies no Ed25519 signatures (FIPS mode?)")
        found = crypto.EVP_DigestVerify(context, signature, len(signature), message, len(message))
        return bool(found == 1)
    finally:
        crypto.EVP_MD_CTX_free(context)
        crypto.EVP_PKEY_free(handle)


def _declared(crypto: ctypes.CDLL) -> ctypes.CDLL:
    pointer, text, size = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t
    declarations = {
        "EVP_PKEY_new_raw_public_key": (pointer, [ctypes.c_int, pointer, text, size]),
        "EVP_PKEY_free": (None, [pointer]),
        "EVP_MD_CTX_new": (pointer, []),
        "EVP_MD_CTX_free": (None, [pointer]),
        "EVP_DigestVerifyInit": (ctypes.c_int, [pointer] * 5),
        "EVP_DigestVerify": (ctypes.c_int, [pointer, text, size, text, size]),
    }
    for name, (result, arguments) in declarations.items():
        function = getattr(crypto, name)
        function.restype, function.argtypes = result, arguments
    return crypto


# --- the script that Ansible runs -------------------------------------------------------------


def main(argv: Sequence[str] | None = None) -> int:
    """Says in one JSON object which key signed an artifact, or why it is refused; returns the exit code."""
    parser = argparse.ArgumentParser(description="Is this artifact signed for this host?")
    parser.add_argument("--artifact", type=Path, required=True)
    parser.add_argument("--signature", type=Path, required=True)
    parser.add_argument("--subject", required=True, help="version/arch")
    parser.add_argument("--floor", type=int, required=True, help="the least serial")
    parser.add_argument("--keys", type=Path, default=KEYS / Role.RELEASE.value)
    options = parser.parse_args(argv)
    try:
        key, statement = _check_artifact(options)
    except TcmicroError as error:
        print(json.dumps({"problem": str(error)}))
        return error.exit_code
    print(json.dumps({"key": key, "serial": statement.serial}))
    return 0


def _check_artifact(options: argparse.Namespace) -> tuple[str, Statement]:
    try:
        signed = signing.parse(options.signature.read_bytes(), options.signature.name)
        digest = sha256(options.artifact.read_bytes()).hexdigest()
    except OSError as exc:
        raise StoreError(f"{exc.filename}: {exc.strerror}") from exc
    wanted = Wanted(Role.RELEASE, digest, options.subject, options.floor, int(time.time()))
    return check(signed, read_keys(options.keys), wanted)


if __name__ == "__main__":
    sys.exit(main())
