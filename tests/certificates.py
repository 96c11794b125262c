"""An authority of its own for tests that speak TLS; certificates as PEM files, valid for two days."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


class Authority:
    """Signs certificates in a folder."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.certificate = str(self._write(f"{name}.pem", self._sign(self._name, self._key)))

    def issue(self, name: str, *addresses: str) -> tuple[str, str]:
        """Paths of a certificate for addresses, or 127.0.0.1, and of its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        secret = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        certificate = self._write(
            f"{name}.pem", self._sign(subject, key, addresses or ("127.0.0.1",))
        )
        return str(certificate), str(self._write(f"{name}.key", secret))

    def _sign(self, subject: x509.Name, key, addresses: Sequence[str] = ()) -> bytes:
        """Without addresses: of the authority itself."""
        now = dt.datetime.now(dt.timezone.utc)
        names = x509.SubjectAlternativeName(
            [x509.IPAddress(ip_address(address)) for address in addresses or ("127.0.0.1",)]
        )
        built = (
            x509.CertificateBuilder(subject_name=subject, issuer_name=self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(days=1))
            .not_valid_after(now + dt.timedelta(days=1))
            .add_extension(names, critical=False)
            .add_extension(x509.BasicConstraints(ca=not addresses, path_length=None), critical=True)
        )
        return built.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    def _write(self, name: str, content: bytes) -> Path:
        path = self._folder / name
        path.write_bytes(content)
        return path
